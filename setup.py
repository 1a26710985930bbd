"""The only place for metadata and dependencies; pyproject.toml holds the build system and tool settings."""

from pathlib import Path

from setuptools import find_packages, setup

BASE = [  # enough to track: no TensorFlow
    "numpy>=1.26",
    "numba>=0.61",
    "opencv-python>=4.10",  # set-up puts the headless one in its place where there is no libGL
    "openvino>=2025.0",
    "onnxruntime>=1.20",
    "pillow>=10",
    "scipy>=1.13",
    "tqdm>=4.66",
]
TRAIN = [
    "tensorflow>=2.20,<2.22",
    "keras>=3.10,<4",
    "onnx>=1.17",
    "tf2onnx>=1.16.1",
    "array-record>=0.8.1; sys_platform != 'win32'",  # shards of datasets; has no wheel for Windows
    "grain>=0.2.14",  # hands shards to Keras
    "matplotlib>=3.9",  # the PCK plot of a report
    "tensorboardX>=2.6",  # TensorFlow no longer brings a writer of its logs
    "ai-edge-litert>=2.1",  # runs exported LiteRT files
]
VIEWER = ["rerun-sdk>=0.41"]
DEV = [
    *VIEWER,
    "jax>=0.5",
    "pytest>=8",
    "pytest-xdist>=3.7",  # make test runs the suite in two processes
    "hypothesis>=6.100",
    "ruff>=0.9",
    "mypy>=1.14",
    "pip-tools>=7.4",
    "build>=1.2",
]

setup(
    name="ganerated-hands",
    version="0.1.0",
    description="Real-time 3D hand pose from one RGB camera: GeoConGAN, RegNet and kinematic fitting.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The GANerated Hands contributors",
    license_expression="MIT",
    license_files=["LICENSE"],
    keywords=["hand tracking", "hand pose estimation", "3D pose", "computer vision", "GAN", "Keras"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Video :: Capture",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.11,<3.14",  # TensorFlow 2.21 has no wheel for 3.14
    packages=find_packages(include=["handpose*", "geocongan*", "regnet*", "tracker*"]),
    package_data={
        "geocongan": ["weights/*", "weights/silnet/*"],
        "regnet": ["weights/*"],
        "tracker": ["weights/*", "demo/*"],
    },
    install_requires=BASE,
    extras_require={
        "gpu": ["onnxruntime-gpu>=1.20"],
        "train": TRAIN,
        "viewer": VIEWER,
        "cluster": ["ray>=2.40"],
        "inception": ["torchmetrics[image]>=1.4"],
        "dev": DEV,
    },
    entry_points={
        "console_scripts": [
            "tracker = tracker.cli:main",
            "regnet = regnet.cli:main",
            "handpose = handpose.cli:main",
            "geocongan = geocongan.cli:main",
        ]
    },
)
