#!/usr/bin/env python3
"""Puts the verifier's web page together: page.py FOLDER MODULE.wasm OUT.html. One file comes out that needs no other, and
whose policy lets only the script and the style that are in it run (their hashes). The same inputs give the same bytes."""
import base64
import hashlib
import json
import sys

folder, module, out = sys.argv[1:]


def read(name):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        return file.read()


def text_in_script(text):
    # "<" spelt out: no text inside can end the script or open a comment.
    return json.dumps(text).replace("<", "\\u003C")


def hash_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


with open(module, "rb") as file:
    binary = base64.b64encode(file.read()).decode()
style = read("page.css")
script = f"const kModule = {json.dumps(binary)};\nconst kWorker = {text_in_script(read('worker.js'))};\n{read('page.js')}"
for name, text in (("page.css", style), ("page.js", script)):
    if "</s" in text or "<!--" in text:
        sys.exit(f"page.py: {name} must not hold what ends a script or a style")
page = read("page.html")
for place, text in (("script-hash", hash_of(script)), ("style-hash", hash_of(style)), ("style", style), ("script", script)):
    mark = "{{" + place + "}}"
    if page.count(mark) != 1:
        sys.exit(f"page.py: page.html must hold {mark} once")
    page = page.replace(mark, text)
with open(out, "w", encoding="utf-8", newline="\n") as file:
    file.write(page)
