#!/usr/bin/env bash
# Makes docs/results/example.html: this CPU, a server behind links, and two emulated processors.
#
#     docs/example.sh WEIGHTS_DIR
#
# WEIGHTS_DIR holds what the commands of docs/accuracy.md train. Half an hour on two cores, of which the
# exports take one half; as root on Debian 12, for the links and the emulated board, on a machine that
# does nothing else. Artifacts and records stay in ./example.
set -euo pipefail
weights=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
mkdir -p example && cd example

edgeworthy export --model 'lenet5@fashion-mnist,mobilenet_v1_0.25_64@fashion-mnist' \
    --format tflite,onnx --precision fp32,int8 --data fashion-mnist
for name in mobilenet_v1_0.25_32 mobilenet_v1_0.5_32 mobilenet_v1_1.0_32 mobilenet_v1_full_0.25_32 \
    resnet20 vgg11_0.25_32; do
    edgeworthy export --model "$name" --weights "$weights/$name@fashion-mnist.safetensors" \
        --name "$name@fashion-mnist" --format tflite,onnx --precision fp32,int8 --data fashion-mnist
done
edgeworthy export --format onnx --precision fp32,int8 --calibration random \
    --model mobilenet_v1_0.25_224,mobilenet_v1_0.5_224,mobilenet_v1_1.0_224,mobilenet_v1_1.0_128 \
    --model mobilenet_v1_full_1.0_224,mobilenet_v2_1.0_224,alexnet,resnet18,resnet50
edgeworthy export --format onnx --model resnet152,vgg16,vgg19
edgeworthy export --format tflite --precision fp32,int8 --calibration random \
    --model mobilenet_v1_1.0_224,resnet50,vgg16

# Noisy, and emulated, are figures too: exit 3 is no failure here.
measured() { bench run "$@" --processes 6 || [ $? = 3 ]; }

measured --artifact '*@fashion-mnist/tflite-*' --artifact '*@fashion-mnist/onnx-fp32' \
    --data fashion-mnist --precision-target 5% --max-seconds 4
measured --artifact 'mobilenet_v?_*_224/onnx-fp32' --artifact mobilenet_v1_1.0_128/onnx-fp32 \
    --artifact 'mobilenet_v1_1.0_224/tflite-*' --artifact alexnet/onnx-fp32 \
    --artifact 'resnet*/onnx-fp32' --artifact 'resnet50/tflite-*' \
    --artifact 'vgg1?/onnx-fp32' --artifact 'vgg16/tflite-*' --precision-target 5% --max-seconds 10
measured --artifact mobilenet_v1_1.0_224/onnx-fp32 --precision-target 5% --max-seconds 5 --sustained 60s
for name in mobilenet_v1_1.0_224 mobilenet_v1_full_1.0_224 resnet50 vgg16; do
    bench profile "$name/onnx-fp32"
done

served=('resnet20@fashion-mnist/onnx-fp32' 'mobilenet_v1_0.25_64@fashion-mnist/onnx-fp32')
edgeworthy devices serve "${served[@]}" --port 8123 &
server=$!
sleep 10
asked=(--device cloud:http://127.0.0.1:8123 --artifact "${served[0]}" --artifact "${served[1]}")
measured "${asked[@]}" --data fashion-mnist --precision-target 5% --max-seconds 4
measured "${asked[@]}" --network wifi,5g,4g,3g --data fashion-mnist --images 100 \
    --precision-target 5% --max-seconds 6
kill $server

small=(--artifact 'lenet5@*/tflite-*' --artifact 'mobilenet_v1_0.25_64@*/tflite-*')
measured --device arm64-exact "${small[@]}" --artifact 'mobilenet_v1_1.0_224/tflite-*'
(cd "$root" && python -m tests.hosts up board) >up.txt </dev/null  # what stays would hold a pipe
config=$(sed -n 's/^ssh -F \(.*\) board$/\1/p' up.txt)
printf '[devices.board]\nkind = "ssh"\nhost = "board"\nconfig = "%s"\n' "$config" >devices.toml
measured --device board "${small[@]}" --precision-target 10% --max-seconds 3
(cd "$root" && python -m tests.hosts down board)

bench report --html "$root/docs/results/example.html" --csv "$root/docs/results/example.csv"
