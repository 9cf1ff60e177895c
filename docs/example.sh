#!/usr/bin/env bash
# Makes docs/results/example.html: this CPU, an emulated board and phone clock, and a server behind links.
#
#     docs/example.sh WEIGHTS_DIR
#
# WEIGHTS_DIR holds what the commands of docs/accuracy.md train. About 40 minutes on two cores, as root
# (links are shaped in a network namespace) and on a machine that does nothing else. Records, profiles and
# artifacts stay in ./example.
set -euo pipefail
weights=$(realpath "$1")
mkdir -p example && cd example

edgeworthy export --model 'lenet5@fashion-mnist,mobilenet_v1_0.25_64@fashion-mnist' \
    --format tflite,onnx --precision fp32,int8 --data fashion-mnist
for name in mobilenet_v1_0.25_32 mobilenet_v1_0.5_32 mobilenet_v1_1.0_32 mobilenet_v1_full_0.25_32 \
    resnet20 vgg11_0.25_32; do
    edgeworthy export --model "$name" --weights "$weights/$name@fashion-mnist.safetensors" \
        --name "$name@fashion-mnist" --format tflite,onnx --precision fp32,int8 --data fashion-mnist
done
edgeworthy export --format onnx --precision fp32,int8 --calibration random --model \
    'mobilenet_v1_*_224,mobilenet_v1_1.0_128,mobilenet_v1_full_1.0_224,mobilenet_v2_1.0_224' \
    --model 'alexnet,resnet18,resnet50'
edgeworthy export --format onnx --model resnet152,vgg16,vgg19
edgeworthy export --format tflite --precision fp32,int8 --calibration random \
    --model mobilenet_v1_1.0_224,resnet50,vgg16

measured() { bench run "$@" --processes 6 --precision-target 5% --wait 60 || [ $? = 3 ]; }
measured --artifact '*@fashion-mnist/tflite-*' --artifact '*@fashion-mnist/onnx-fp32' \
    --data fashion-mnist --max-seconds 4
measured --artifact 'mobilenet_v?_*/onnx-fp32' --artifact 'resnet*/onnx-fp32' \
    --artifact 'vgg1?/onnx-fp32' --artifact alexnet/onnx-fp32 \
    --artifact 'resnet50/tflite-*' --artifact 'vgg16/tflite-*' \
    --artifact 'mobilenet_v1_1.0_224/tflite-*' --max-seconds 10
