import re

from trainer.data import noise_picture


def test_a_page_complete_in_itself(noisy_labels):
    names = ["<script>alert(1)</script>", "$x", *"23456789"]
    pages = [noise_picture.page(noisy_labels, names) for _ in range(2)]
    assert pages[0] == pages[1]
    assert "Noise uniform, ratio 0.9, seed 0. Share of labels that are wrong: 81.3%." in pages[0]
    assert "<script" not in pages[0]
    assert "&lt;script&gt;" in pages[0]
    assert ">0.19<" in pages[0]  # 0.1 + 0.9 / 10
    assert not re.findall(r'(?:href|src)="(?!#|data:)([^"]*)"', pages[0])
