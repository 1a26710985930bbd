"""Put the headless OpenCV in the place of the full one where its libraries (libGL) are missing, as on servers and in containers."""

import argparse
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version


def main() -> None:
    """Try the import; replace the package by the headless one of the same version where it fails."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, check=False).returncode == 0:
        return
    try:
        wanted = version("opencv-python")
    except PackageNotFoundError:
        sys.exit("OpenCV cannot be imported and opencv-python is not installed: run make again")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "uninstall", "--yes", "opencv-python"], check=True)
    # By force: where the headless one was there already, its files, which both packages call their own, are gone with the other's.
    subprocess.run([*pip, "install", "--no-deps", "--force-reinstall", f"opencv-python-headless=={wanted}"], check=True)
    print(f"no libGL here: opencv-python-headless {wanted} is used, without windows")


if __name__ == "__main__":
    main()
