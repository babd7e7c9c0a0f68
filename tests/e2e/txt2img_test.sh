#!/bin/bash
# `lowrank txt2img` as a user runs it, on the tiny model of the fixtures.
#   txt2img_test.sh LOWRANK_BINARY FIXTURES_FOLDER
set -u
lowrank=$1
tiny=$(cd "$2" && pwd)/sd15-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

mkdir -p "$work/data/models/Stable-diffusion" "$work/data/models/Lora/sub" "$work/out"
ln -s "$tiny/sd15-tiny.safetensors" "$work/data/models/Stable-diffusion/"
ln -s "$tiny/sd15-tiny-lora_attn.safetensors" "$work/data/models/Lora/attention.safetensors"
ln -s "$tiny/sd15-tiny-loha_attn.safetensors" "$work/data/models/Lora/sub/loha.safetensors"
base=(txt2img --data-dir "$work/data" --size 64x64 --steps 3 --seed 42)
red_fox=(-p "a (red:1.2) fox, [day:night:2]" -n "blurry")

# NAME EXPECTED_STATUS ARGUMENTS…: runs, keeps output in $work/out/NAME.{stdout,stderr}.
run() {
  local name=$1 expected=$2
  shift 2
  "$lowrank" "$@" >"$work/out/$name.stdout" 2>"$work/out/$name.stderr"
  local status=$?
  [ $status -eq "$expected" ] || fail "$name: exit status $status where $expected is due: $(cat "$work/out/$name.stderr")"
}

run plain 0 "${base[@]}" "${red_fox[@]}" -o "$work/plain.png"
run lora 0 "${base[@]}" -p "a (red:1.2) fox, [day:night:2] <lora:attention:0.8><lora:loha:0.5>" -n "blurry" -o "$work/lora.png"
[ "$(head -c 8 "$work/plain.png" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "plain.png is no PNG"
cmp -s "$work/plain.png" "$work/lora.png" && fail "the LoRAs changed nothing"
grep -q "attention: LoRA .*rank 4" "$work/out/lora.stdout" || fail "no apply report for 'attention'"
grep -q "192 of 192 modules applied" "$work/out/lora.stdout" || fail "the report does not count modules"
grep -q "lora.png" "$work/out/lora.stdout" || fail "the file is not named"

run again 0 txt2img --data-dir "$work/data" --from "$work/lora.png" -o "$work/again.png" --quiet
cmp -s "$work/lora.png" "$work/again.png" || fail "--from does not repeat the picture byte for byte"
run other 0 txt2img --data-dir "$work/data" --from "$work/lora.png" --seed 43 -o "$work/other.png" --quiet
cmp -s "$work/lora.png" "$work/other.png" && fail "an explicit seed does not override --from"
run int8 0 "${base[@]}" "${red_fox[@]}" --int8 -o "$work/int8.png"
cmp -s "$work/plain.png" "$work/int8.png" && fail "--int8 changed nothing"
run int8_again 0 txt2img --data-dir "$work/data" --from "$work/int8.png" -o "$work/int8-again.png" --quiet
cmp -s "$work/int8.png" "$work/int8-again.png" || fail "--from does not repeat a picture of 8 bits"
run threads 0 "${base[@]}" "${red_fox[@]}" --threads 1 -o "$work/one.png"
run threads 0 "${base[@]}" "${red_fox[@]}" --threads 2 -o "$work/two.png"
cmp -s "$work/one.png" "$work/two.png" || fail "one and two threads give different files"
cmp -s "$work/plain.png" "$work/one.png" || fail "the LoRAs of another run left a trace"

# A limit on the instruction set is for every command that draws or learns.
for command in "txt2img -p a" "xyz -p a --x Seed:1" "train lora --train-data-dir $work" "serve --port 0"; do
  LOWRANK_SIMD=AVX5 run simd 2 $command
  grep -q "LOWRANK_SIMD is 'AVX5'" "$work/out/simd.stderr" || fail "LOWRANK_SIMD is ignored by $command"
done
LOWRANK_SIMD=SSE4 run simd 0 "${base[@]}" "${red_fox[@]}" -o "$work/sse4.png"

run several 0 "${base[@]}" -p "a fox" --batch-size 2 --batch-count 2 --format webp -o "$work/several/[seed]-[index]"
for name in 42-1 43-2 44-3 45-4; do [ -s "$work/several/$name.webp" ] || fail "several/$name.webp is missing"; done
run default_name 0 "${base[@]}" -p "a fox"
ls "$work"/data/outputs/txt2img-images/*/00000-42.png >/dev/null 2>&1 || fail "the default name is not A1111's"
run json 0 "${base[@]}" -p "a fox <lora:attention:1>" -o "$work/json.jpg" --json --quiet --preview "$work/preview.png"
grep -q '"seed": 42' "$work/out/json.stdout" && grep -q '"applied": 192' "$work/out/json.stdout" || fail "--json says too little"
head -c 1 "$work/out/json.stdout" | grep -q '{' || fail "--json is not alone on standard output"
[ -s "$work/preview.png" ] || fail "no preview was written"

# One sentence, exit status 2, no file.
refused() {
  local name=$1 words=$2
  shift 2
  run "$name" 2 "$@" -o "$work/refused.png"
  [ "$(wc -l <"$work/out/$name.stderr")" -eq 1 ] || fail "$name: not one line: $(cat "$work/out/$name.stderr")"
  grep -q -- "$words" "$work/out/$name.stderr" || fail "$name: '$words' is not in: $(cat "$work/out/$name.stderr")"
  [ -e "$work/refused.png" ] && fail "$name: left a file"
}
refused sampler "unknown sampler 'Foo'" "${base[@]}" -p a --sampler Foo
refused size "multiple of 8" "${base[@]}" -p a --width 65
refused size_text "WIDTHxHEIGHT" "${base[@]}" -p a --size 12by12
refused steps "steps is 0" "${base[@]}" -p a --steps 0
refused steps_text "steps is 'many'" "${base[@]}" -p a --steps many
refused cfg "cfg is 'nan'" "${base[@]}" -p a --cfg nan
refused model "no checkpoint named 'missing'" "${base[@]}" -p a --model missing
refused vae "no VAE named 'missing'" "${base[@]}" -p a --vae missing
refused lora "did you mean attention" "${base[@]}" -p "a <lora:attentio:1>"
refused no_model "$work/data/models/Lora" "${base[@]}" -p a --model "$work/data/models/Lora/attention.safetensors"
refused data_dir "no-such-folder" txt2img --data-dir "$work/no-such-folder" -p a
refused from "contains no settings" "${base[@]}" --from "$tiny/../image/grey-16.png"
refused from_preview "contains no settings" "${base[@]}" --from "$work/preview.png"
refused format "contradicts" "${base[@]}" -p a --format webp
refused device "cuda" "${base[@]}" -p a --device cuda
[ -e "$work/refused.png" ] && fail "a refused request left a file"

run allowed 0 "${base[@]}" -p "a <lora:nothing:1>" --allow-missing-loras -o "$work/allowed.png"
grep -a -q "Lora not found: nothing" "$work/allowed.png" || fail "the metadata does not name the missing LoRA"
grep -q "Lora not found: nothing" "$work/out/allowed.stdout" || fail "the missing LoRA is not told"

# Ctrl-C: exit status 130 within a step, nothing left behind. A background job ignores SIGINT unless it gets it back.
mkdir "$work/interrupted"
(trap - INT; exec "$lowrank" txt2img --data-dir "$work/data" -p "a fox" --size 512x512 --steps 150 --preview "$work/seen.png" \
  -o "$work/interrupted/fox.png" >/dev/null 2>"$work/out/interrupted.stderr") &
pid=$!
for _ in $(seq 600); do [ -e "$work/seen.png" ] && break; sleep 0.1; done
kill -INT $pid
wait $pid
status=$?
[ $status -eq 130 ] || fail "Ctrl-C: exit status $status where 130 is due"
[ -z "$(ls -A "$work/interrupted")" ] || fail "Ctrl-C left $(ls -A "$work/interrupted")"

[ $failures -eq 0 ] && echo "txt2img: all end-to-end checks passed"
exit $((failures > 0))
