#!/usr/bin/env bash
# CLIPTokenizer gives other tokens for the same prompt in transformers 5 than in transformers 4 with ftfy.
#
# The slow CLIPTokenizer of transformers 4 cleans a text with ftfy's fix_text where ftfy is installed, as openai/CLIP does
# (and so do the pictures and trainings made with it). That of transformers 5 only composes letters (NFC), lowers them and
# collapses blanks: curly quotes, full-width letters, ligatures and HTML entities reach the byte-pair encoder as they are, whether
# ftfy is installed or not, and nothing says so. Seen on 2026-11-27 with Python 3.11, the same vocabulary for both:
#
#   text               transformers 4.30.2 + ftfy 6.3.1     transformers 5.24.0 + ftfy 6.3.1
#   it’s               585 568 (it, 's)                     585 728 503 338 (it, two bytes, s)
#   ＦＯＸ             3240 (fox)                           nine bytes' tokens
#   ﬁeld               1570 (field)                         171 105 223 5684
#   fish &amp; chips   2759 261 8855                        2759 261 6259 282 8855
#   café in two parts  15304                                15304
#
# A prompt or caption with a typographic apostrophe is therefore another text to a text encoder after such an update. Fetches
# about 40 MB from PyPI into a temporary folder; ends with 1 when what is seen changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plain="wcwidth regex numpy packaging requests filelock pyyaml tqdm typing-extensions fsspec idna urllib3 certifi charset-normalizer"
python3 -m venv "$work/old"
"$work/old/bin/pip" -q install --no-deps transformers==4.30.2 tokenizers==0.13.3 huggingface-hub==0.16.4 ftfy==6.3.1 clip-anytorch==2.6.0 $plain
python3 -m venv "$work/new"
"$work/new/bin/pip" -q install transformers==5.24.0 ftfy==6.3.1 >/dev/null
cat > "$work/vocabulary.py" <<'PY'
import gzip, importlib.util, json, os, sys
path = os.path.join(os.path.dirname(importlib.util.find_spec("clip").origin), "bpe_simple_vocab_16e6.txt.gz")
merges = gzip.open(path, "rt", encoding="utf-8").read().split("\n")[1:49152 - 256 - 2 + 1]
visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = [chr(b) for b in visible] + [chr(256 + i) for i in range(256 - len(visible))]
words = letters + [c + "</w>" for c in letters] + [m.replace(" ", "") for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
json.dump({w: i for i, w in enumerate(words)}, open(sys.argv[1] + "/vocab.json", "w"))
open(sys.argv[1] + "/merges.txt", "w").write("#version: 0.2\n" + "\n".join(merges) + "\n")
PY
cat > "$work/ids.py" <<'PY'
import json, sys, warnings
warnings.simplefilter("ignore")
from transformers import CLIPTokenizer
tokenizer = CLIPTokenizer.from_pretrained(sys.argv[1])
texts = ["it’s", "ＦＯＸ", "ﬁeld", "fish &amp; chips", "cafe\u0301", "it's", "fox"]
print(json.dumps({text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts}, ensure_ascii=False))
PY
mkdir "$work/clip"
"$work/old/bin/python" "$work/vocabulary.py" "$work/clip"
old=$("$work/old/bin/python" "$work/ids.py" "$work/clip" 2>/dev/null)
new=$("$work/new/bin/python" "$work/ids.py" "$work/clip" 2>/dev/null)
printf 'transformers 4.30.2 + ftfy: %s\ntransformers 5.24.0 + ftfy: %s\n' "$old" "$new"
python3 - "$old" "$new" <<'PY'
import json, sys
old, new = map(json.loads, sys.argv[1:])
plain = ["cafe\u0301", "it's", "fox"]
cleaned = old["it’s"] == old["it's"] == [585, 568] and old["ＦＯＸ"] == old["fox"] and old["ﬁeld"] == [1570]
raw = all(new[text] != old[text] for text in ("it’s", "ＦＯＸ", "ﬁeld", "fish &amp; chips"))
sys.exit(0 if cleaned and raw and all(new[text] == old[text] for text in plain) else 1)
PY
