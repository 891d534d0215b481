# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Annotated images."""

import cv2
import numpy as np
from PIL import Image


def save_with_text_overlay(image, text, output_path, img_size=None, font_scale=0.4, font_thickness=1):
    """Write an image, given as a path or as PIL's, with the items of *text* on it."""
    image = Image.open(image) if isinstance(image, str) else image
    pixels = cv2.cvtColor(np.array(image), cv2.COLOR_RGB2BGR)
    if img_size is not None:
        pixels = cv2.resize(pixels, tuple(img_size[:2]), interpolation=cv2.INTER_CUBIC)
    line = "Prediction: " + ", ".join(map(str, text))
    font, (x, y) = cv2.FONT_HERSHEY_SIMPLEX, (10, 30)
    (width, height), _ = cv2.getTextSize(line, font, font_scale, font_thickness)
    cv2.rectangle(pixels, (x - 5, y - height - 5), (x + width + 5, y + 5), (0, 0, 0), -1)
    cv2.putText(pixels, line, (x, y), font, font_scale, (255, 255, 255), font_thickness, cv2.LINE_AA)
    cv2.imwrite(output_path, pixels)
