#!/bin/bash
# `npm run build --offline` of llama.cpp's web UI: a placeholder page under the file
# names that the embedding step expects.
set -eu
if [[ "$*" != "run build"* ]]; then
  echo "the testbed's npm supports \`npm run build\` only, not: npm $*" >&2
  exit 1
fi
mkdir -p "$LLAMA_UI_OUT_DIR"
cd "$LLAMA_UI_OUT_DIR"
cat >index.html <<'PAGE'
<!doctype html>
<title>llama.cpp</title>
<p>This server was built by the testbed, which leaves the web UI out. Its API works.</p>
PAGE
echo '{}' | tee manifest.webmanifest build.json >version.json
for file in sw.js bundle.js bundle.css workbox.js; do
  : >"$file"
done
