# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

import setuptools

setuptools.setup(
    name="nvidia_tao_pytorch",
    version="7.0.1",
    description="porter's embedded kit: a small tree with the classification API of TAO PyTorch 7.0.1",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["nvidia_tao_pytorch*"]),
    package_data={"": ["*.yaml"]},
    include_package_data=True,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "classification_pyt=nvidia_tao_pytorch.cv.classification_pyt.entrypoint.classification:main",
        ]
    },
)
