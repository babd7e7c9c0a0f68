#!/bin/bash
# img2img, extras, xyz, matrix and prompts as a user runs them, on the tiny model of the fixtures.
#   workflow_test.sh LOWRANK_BINARY FIXTURES_FOLDER
set -u
lowrank=$1
fixtures=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

mkdir -p "$work/data/models/Stable-diffusion" "$work/data/models/ESRGAN" "$work/out" "$work/photos" "$work/masks"
ln -s "$fixtures/sd15-tiny/sd15-tiny.safetensors" "$work/data/models/Stable-diffusion/"
ln -s "$fixtures/upscalers/old-4x.pth" "$work/data/models/ESRGAN/4x-tiny.pth"
picture=$fixtures/image/masking/source.png
mask=$fixtures/image/masking/mask.png
common=(--data-dir "$work/data" --steps 3 --seed 42 --quiet)

# NAME EXPECTED_STATUS ARGUMENTS…: runs, keeps output in $work/out/NAME.{stdout,stderr}.
run() {
  local name=$1 expected=$2
  shift 2
  "$lowrank" "$@" >"$work/out/$name.stdout" 2>"$work/out/$name.stderr"
  local status=$?
  [ $status -eq "$expected" ] || fail "$name: exit status $status where $expected is due: $(cat "$work/out/$name.stderr")"
}
size() { od -An -tu1 -j16 -N8 "$1" | awk '{print $1*16777216+$2*65536+$3*256+$4 "x" $5*16777216+$6*65536+$7*256+$8}'; }

run plain 0 img2img "${common[@]}" -i "$picture" -p "a fox" --denoising 0.5 -o "$work/plain.png"
[ "$(size "$work/plain.png")" = 56x40 ] || fail "img2img does not keep the picture's size: $(size "$work/plain.png")"
run again 0 img2img --data-dir "$work/data" --from "$work/plain.png" -i "$picture" -o "$work/again.png" --quiet
cmp -s "$work/plain.png" "$work/again.png" || fail "img2img --from does not repeat the picture byte for byte"
run other_init 0 img2img --data-dir "$work/data" --from "$work/plain.png" -i "$work/plain.png" -o "$work/other.png" --quiet
grep -q "is not the picture" "$work/out/other_init.stderr" || fail "another init picture is not noticed"
run as_txt2img 0 txt2img --data-dir "$work/data" --from "$work/plain.png" -o "$work/txt.png" --quiet
grep -q "made from an input picture" "$work/out/as_txt2img.stderr" || fail "txt2img --from does not say that the picture came from another"
run inpaint 0 img2img "${common[@]}" -i "$picture" -m "$mask" -p "a hat" --inpaint-padding 8 --masked-content original -o "$work/inpaint.png" --size 64x64
[ "$(size "$work/inpaint.png")" = 57x45 ] || fail "inpainting does not give the whole picture back"
run inpaint_again 0 img2img --data-dir "$work/data" --from "$work/inpaint.png" -i "$picture" -m "$mask" -o "$work/inpaint2.png" --quiet
cmp -s "$work/inpaint.png" "$work/inpaint2.png" || fail "inpainting does not repeat byte for byte"

cp "$picture" "$work/photos/a.png"
cp "$work/plain.png" "$work/photos/b.png"
echo "no picture" >"$work/photos/notes.txt"
cp "$mask" "$work/masks/a.png"
run folder 0 img2img "${common[@]}" -i "$work/photos" -p "a fox" -o "$work/painted/[name]"
[ -s "$work/painted/a.png" ] && [ -s "$work/painted/b.png" ] || fail "the pictures of a folder are not all made"
run no_mask 2 img2img "${common[@]}" -i "$work/photos" -m "$work/masks" -p "a fox" -o "$work/masked/[name]"
grep -q "no mask for" "$work/out/no_mask.stderr" || fail "a missing mask is not named"

run hires 0 txt2img "${common[@]}" --size 64x64 -p "a fox" --hires --hires-scale 1.5 --hires-upscaler 4x-tiny --denoising 0.5 -o "$work/hires.png"
[ "$(size "$work/hires.png")" = 96x96 ] || fail "hires fix does not enlarge"
run hires_again 0 txt2img --data-dir "$work/data" --from "$work/hires.png" -o "$work/hires2.png" --quiet
cmp -s "$work/hires.png" "$work/hires2.png" || fail "hires fix does not repeat byte for byte"

run extras 0 extras --data-dir "$work/data" "$work/plain.png" --upscaler 4x-tiny --scale 4 -o "$work/large.png"
[ "$(size "$work/large.png")" = 224x160 ] || fail "extras does not enlarge four times"
"$lowrank" png-info "$work/large.png" | grep -q "Postprocess upscaler: 4x-tiny" || fail "extras leaves no trace in the settings"
"$lowrank" png-info "$work/large.png" | grep -q "Denoising strength: 0.5" || fail "extras loses the picture's settings"
run extras_folder 0 extras --data-dir "$work/data" "$work/photos" --upscaler Lanczos --width 64 --height 64 -o "$work/scaled/" --json
[ "$(size "$work/scaled/a.png")" = 64x64 ] && [ "$(size "$work/scaled/b.png")" = 64x64 ] || fail "extras does not take a folder"
run extras_unknown 2 extras --data-dir "$work/data" "$picture" --upscaler Nonsense -o "$work/x.png"
grep -q "4x-tiny" "$work/out/extras_unknown.stderr" || fail "an unknown upscaler is not answered with those that there are"

run xyz 0 xyz "${common[@]}" --size 64x64 -p "a fox" --x "Steps: 1-2" --y "CFG Scale: 3, 7" -o "$work/xyz/[index]-[steps]-[cfg]" --json
for name in 1-1-3.0 1-2-3.0 1-1-7.0 1-2-7.0 1-1-3 1-2-3 1-1-7 1-2-7; do [ -s "$work/xyz/$name.png" ] && echo "$name"; done >"$work/out/xyz.names"
[ "$(wc -l <"$work/out/xyz.names")" = 4 ] || fail "xyz does not make four pictures: $(ls "$work/xyz")"
ls "$work"/xyz/*-sheet.png >/dev/null 2>&1 || fail "xyz makes no sheet"
run xyz_nonsense 2 xyz "${common[@]}" -p "a fox" --x "Nonsense: 1"
grep -q "Prompt S/R" "$work/out/xyz_nonsense.stderr" || fail "an unknown axis is not answered with those that there are"
run matrix 0 matrix "${common[@]}" --size 64x64 -p "a fox|red" -o "$work/matrix/m" --no-sheet
"$lowrank" png-info "$work/matrix/m.png" | grep -q "a fox" || fail "matrix makes no picture"
printf 'a fox\n--prompt a cat in snow --steps 2\n' >"$work/prompts.txt"
run prompts 0 prompts "${common[@]}" --size 64x64 -f "$work/prompts.txt" -o "$work/prompts/[number]"
"$lowrank" png-info "$work/prompts/00001.png" | grep -q "a cat in snow" || fail "prompts does not read its lines"
grep -q "Steps: 2" <("$lowrank" png-info "$work/prompts/00001.png") || fail "prompts does not read a line's options"

# One sentence, exit status 2, no file.
for case in "no init|img2img -p x" "no file|img2img -i $work/none.png -p x" "bad strength|img2img -i $picture -p x --denoising 2" \
  "bad mode|img2img -i $picture -p x --resize-mode sideways" "text as mask|img2img -i $picture -m $work/prompts.txt -p x" \
  "nothing to do|extras $picture" "no axis|xyz -p x"; do
  read -ra words <<<"${case#*|}"
  "$lowrank" "${words[@]}" --data-dir "$work/data" -o "$work/refused.png" >"$work/out/refused.stdout" 2>"$work/out/refused.stderr"
  status=$?
  [ $status -eq 2 ] || [ $status -eq 1 ] || fail "${case%|*}: exit status $status"
  [ "$(grep -c . "$work/out/refused.stderr")" = 1 ] || fail "${case%|*}: not one sentence: $(cat "$work/out/refused.stderr")"
  [ -e "$work/refused.png" ] && fail "${case%|*}: left a file"
done

# Ctrl-C between two pictures of a folder: what is finished stays, nothing half-written.
"$lowrank" img2img --data-dir "$work/data" -i "$work/photos" -p "a fox" --steps 150 --fix-steps --seed 1 -o "$work/stopped/[name]" >/dev/null 2>&1 &
pid=$!
sleep 3
kill -INT $pid 2>/dev/null
wait $pid
status=$?
[ $status -eq 130 ] || [ $status -eq 0 ] || fail "Ctrl-C ends with status $status"
ls "$work/stopped" 2>/dev/null | grep -v "\.png$" && fail "Ctrl-C leaves a half-written file"

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
