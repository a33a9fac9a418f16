#!/usr/bin/env python3
"""Makes pages of text to calibrate on: `python3 pages.py FOLDER` writes 24 of them, the same each time.

Words are those of this repository's README. Needs the Python packages Pillow, and matplotlib for its fonts.
"""

import pathlib
import random
import sys

import matplotlib
from PIL import Image, ImageDraw, ImageFont

FONTS = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
NAMES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"]
README = pathlib.Path(__file__).parents[2] / "README.md"
PAGES, LINES, LETTERS = 24, 7, 26
SIZE = (960, 640)


def page(words, chance):
    paper, ink = chance.randint(200, 255), chance.randint(0, 90)
    picture = Image.new("RGB", SIZE, (paper, paper, chance.randint(190, paper)))
    height = chance.choice([26, 30, 34])
    font = ImageFont.truetype(str(FONTS / chance.choice(NAMES)), height)
    for number in range(LINES):
        line = ""
        while len(line) < LETTERS - 8:
            line += chance.choice(words) + " "
        place = (50, 50 + int(number * height * 2.3))
        ImageDraw.Draw(picture).text(place, line[:LETTERS], font=font, fill=(ink, ink, ink))
    return picture.rotate(chance.uniform(-6, 6), Image.BICUBIC, fillcolor=(paper, paper, paper))


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    words = README.read_text().replace("|", " ").replace("`", " ").split()
    chance = random.Random(1)
    for number in range(PAGES):
        page(words, chance).save(folder / f"{number:02}.png")


if __name__ == "__main__":
    main()
