# Old llama.cpp fails to configure without libcurl, which llama-bench never
# calls. Where the machine lacks its headers, build without it.
curlHeaders=(/usr/include/curl/curl.h /usr/include/*/curl/curl.h)
if [[ ${#curlHeaders[@]} -eq 0 || ! -e ${curlHeaders[-1]} ]]; then
  echo "testbed: libcurl4-openssl-dev is not installed: building with LLAMA_CURL=OFF"
  appendToVar cmakeFlags -DLLAMA_CURL=OFF
fi
