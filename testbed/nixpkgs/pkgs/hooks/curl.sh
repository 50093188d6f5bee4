# llama.cpp of 2025 fails to configure without libcurl, which llama-bench does not use:
# build without it if its headers are not installed.
curlHeaders=(/usr/include/curl/curl.h /usr/include/*/curl/curl.h)
if [[ ${#curlHeaders[@]} -eq 0 || ! -e ${curlHeaders[-1]} ]]; then
  echo "testbed: libcurl4-openssl-dev is not installed: building with LLAMA_CURL=OFF"
  appendToVar cmakeFlags -DLLAMA_CURL=OFF
fi
