#!/usr/bin/env bash
# An empty JSON list is an object to AUTOMATIC1111's API (pydantic 1) and a fault to servers built on pydantic 2.
#
# A1111's web UI checks its requests with pydantic 1.10, whose `dict` field calls dict() on what it is given. PHP's json_encode
# writes an empty array as [], so that clients written in PHP send "override_settings": [] and "alwayson_scripts": []; pydantic 1
# takes them (and "", and lists of pairs) and says nothing. The same models under pydantic 2 refuse them, in its default ("lax")
# mode too. A whole number with a fraction is cut by pydantic 1 (7.5 steps are 7) and refused by pydantic 2. Seen on 2026-11-27
# with Python 3.11:
#
#   field, value               pydantic 1.10.13    pydantic 2.9.2
#   dict, []                   {}                  dict_type
#   dict, ""                   {}                  dict_type
#   dict, [["a", 1]]           {"a": 1}            dict_type
#   int, 7.5                   7                   int_from_float
#   int, "20"                  20                  20
#
# A client that works with the web UI therefore gets 422 from a fork that moved to pydantic 2. Fetches about 4 MB from PyPI into a
# temporary folder; ends with 1 when what is seen changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/seen.py" <<'PY'
import json
from typing import Optional
from pydantic import BaseModel, ValidationError
class Request(BaseModel):
    override_settings: Optional[dict] = None
    steps: Optional[int] = None
def seen(field, value):
    try:
        return getattr(Request(**{field: value}), field)
    except ValidationError as error:
        return error.errors()[0]["type"]
values = [("override_settings", []), ("override_settings", ""), ("override_settings", [["a", 1]]), ("steps", 7.5), ("steps", "20")]
print(json.dumps([seen(*value) for value in values]))
PY
for version in 1.10.13 2.9.2; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" -q install "pydantic==$version" >/dev/null
done
old=$("$work/1.10.13/bin/python" "$work/seen.py")
new=$("$work/2.9.2/bin/python" "$work/seen.py")
printf 'pydantic 1.10.13: %s\npydantic 2.9.2:   %s\n' "$old" "$new"
[ "$old" = '[{}, {}, {"a": 1}, 7, 20]' ] && [ "$new" = '["dict_type", "dict_type", "dict_type", "int_from_float", 20]' ]
