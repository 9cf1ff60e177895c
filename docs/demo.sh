#!/usr/bin/env bash
# The main job, end to end: export, prove, measure, contrast, gate. Run it with `make demo`.
set -euo pipefail

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

# Fashion-MNIST where it is installed or can be downloaded; else the sample that lies in tests/data.
data=fashion-mnist
if ! python -c "from models.data import open_dataset; open_dataset('$data', 'test')" 2>/dev/null; then
    data=tests/data/fashion-mnist-sample
    echo "Fashion-MNIST could not be had; using the 1,000 test images in $data instead."
fi
records=results/records.jsonl
rm -f "$records"

say edgeworthy export --model 'lenet5@fashion-mnist,mobilenet_v1_0.25_64@fashion-mnist' \
    --format tflite,onnx,coreml --precision fp32,fp16,int8 --data "$data"
say edgeworthy export --model mobilenet,vgg16,resnet50 --format onnx

# Networks on 28 and 64 pixels take microseconds, VGG-16 a second: each gets the time it needs.
say bench run --artifact '*@fashion-mnist' --data "$data" --images 1000 --max-seconds 5 \
    --out "$records" || [ $? = 3 ]
say bench run --artifact 'mobilenet_v1_1.0_224' --artifact vgg16 --artifact resnet50 \
    --max-seconds 20 --precision-target 5% --out "$records" || [ $? = 3 ]
say bench report --records "$records" --markdown report.md --html report.html
say bench check --only size,contract
