#!/bin/sh
# Installs the oracle the tests are held against: llama.cpp as a C library
# (prebuilt, from the npm package node-llama-cpp) and as tools (llama-bench,
# llama-perplexity, llama-quantize, test-llama-archs, from Debian sid's packages,
# unpacked into a folder and never installed).
#
# usage: install.sh DIR      about 330 MB, half a minute; safe to run again
#
# Needs Linux on x86-64 with Debian's apt-get, a C compiler and npm. It makes
#   DIR/oracle, DIR/oracle-new   oracle.c on the npm library and on Debian's
#   DIR/tool NAME ARGS…          a llama.cpp tool
#   DIR/lib DIR/vocab DIR/templates   libraries, vocabularies, chat templates
set -eu
dir=${1:?usage: install.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

if [ ! -e "$dir/lib/libllama.so" ]; then
	mkdir -p "$dir/npm" "$dir/include" "$dir/vocab" "$dir/lib"
	(
		cd "$dir/npm"
		npm init -y >/dev/null
		npm install --silent --ignore-scripts --omit=optional --force \
			node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1
	)
	[ -d "$dir/tree.git" ] || git clone -q --bare "$dir/npm/node_modules/node-llama-cpp/llama/gitRelease.bundle" "$dir/tree.git"
	git -C "$dir/tree.git" archive HEAD include ggml/include models | tar -x -C "$dir/include"
	mv "$dir"/include/models/ggml-vocab-* "$dir/vocab/"
	mv "$dir/include/models/templates" "$dir/templates"
	cp "$dir"/npm/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/*.so* "$dir/lib/"
	for f in llama ggml; do
		ln -sf "$(cd "$dir/lib" && ls lib$f.v*.so | head -1)" "$dir/lib/lib$f.so"
	done
fi
cc -O2 -o "$dir/oracle" "$here/oracle.c" -I"$dir/include/include" -I"$dir/include/ggml/include" \
	-L"$dir/lib" -lllama -lggml -lggml-base -lm -Wl,-rpath,"$dir/lib"

if [ ! -e "$dir/sid/usr/bin/llama-bench" ]; then
	site=$(apt-get indextargets --format '$(SITE)' | grep '/debian$' | sort -u | head -1)
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/debs" "$dir/sid"
	echo "deb [trusted=yes] $site sid main" >"$dir/apt/sources.list"
	apt="apt-get -o Dir::Etc::sourcelist=$dir/apt/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$dir/apt/lists
		-o Dir::Cache=$dir/apt/cache -o APT::Sandbox::User=root -qq"
	$apt update
	(cd "$dir/apt/debs" && $apt download llama.cpp-tools llama.cpp-tools-extra llama.cpp-tests libllama-dev libggml-dev \
		libllama0 libggml0 libc6 libgcc-s1 libstdc++6 libgomp1 libssl3t64 zlib1g libzstd1)
	for d in "$dir"/apt/debs/*.deb; do dpkg-deb -x "$d" "$dir/sid"; done
fi
cat >"$dir/tool" <<EOF
#!/bin/sh
# usage: tool llama-bench|llama-perplexity|llama-quantize|test-llama-archs … ARGS
r=$dir/sid; l=\$r/usr/lib/x86_64-linux-gnu; p=\$1; shift
[ -e "\$p" ] || p=\$(ls \$r/usr/bin/\$p \$r/usr/libexec/x86_64-linux-gnu/llama.cpp-tests/\$p 2>/dev/null | head -1)
if [ -z "\${GGML_BACKEND_PATH:-}" ]; then
  if grep -q avx512_bf16 /proc/cpuinfo; then c=zen4; elif grep -q avx2 /proc/cpuinfo; then c=haswell; else c=x64; fi
  export GGML_BACKEND_PATH=\$l/ggml/backends0/libggml-cpu-\$c.so
fi
exec \$(ls \$r/usr/lib64/ld-linux-x86-64.so.2 \$r/lib64/ld-linux-x86-64.so.2 2>/dev/null | head -1) --library-path \$l:\$l/llama:\$l/ggml/backends0 "\$p" "\$@"
EOF
chmod +x "$dir/tool"

# The same program on the newer library. Where the two differ, or only one loads
# a file, a test says which it used.
l="$dir/sid/usr/lib/x86_64-linux-gnu"
cc -O2 -o "$dir/oracle-new.bin" "$here/oracle.c" -I"$dir/sid/usr/include" "$l/libllama.so.0" "$l/libggml.so.0" "$l/libggml-base.so.0" -lm \
	-Wl,--allow-shlib-undefined -Wl,--unresolved-symbols=ignore-in-shared-libs
printf '#!/bin/sh\nexec "%s/tool" "%s/oracle-new.bin" "$@"\n' "$dir" "$dir" >"$dir/oracle-new"
chmod +x "$dir/oracle-new"
echo "oracle: $dir/oracle and $dir/oracle-new"
