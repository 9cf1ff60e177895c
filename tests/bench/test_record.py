from tests.bench.records import make_record


def test_the_key_says_what_a_result_is_about():
    assert make_record(threads=None).key == (
        "net",
        "onnx-fp32",
        "cpu",
        "onnxruntime",
        "default",
        "1",
    )
