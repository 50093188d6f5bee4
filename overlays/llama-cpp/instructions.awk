# Counts how many instructions of a module belong to each instruction set of microarch.json.
# Input: `objdump --disassemble --no-show-raw-insn`. Output: lines of module, set, number.
# A set that no row has is named by its first instruction: OTHER:vaddph.

BEGIN { FS = "\t" }

NF < 2 { next }

{
  total++
  code = $2 " " $3
  name = code
  vex = sub(/^[{]vex[}] /, "", name)
  sub(/ .*/, "", name)
}

# aarch64
/[ \t,{]z[0-9]+[.]/ { count["sve"]++; next }
name ~ /^[su]dot$/ { count["dotprod"]++; next }
name ~ /^(us|su)dot$|^(s|u|us)mmla$/ { count["i8mm"]++; next }
name ~ /^bf(dot|mmla|mlal[bt]|cvt|cvtn2?)$/ { count["bf16"]++; next }
name ~ /^f(add|sub|mul|mulx|div|ml[as]|n?madd|n?msub|max|min|maxnm|minnm|sqrt|neg|abs|cmeq|cmge|cmgt|cmp|ccmp|csel)p?$/ && code ~ /[ ,]v[0-9]+[.][48]h|[ ,]h[0-9]+,/ {
  count["fp16"]++
  next
}

# x86_64
code !~ /%/ { next }
name ~ /^(ld|st)tilecfg$|^tile|^tdp|^tcmm/ {
  count["AMX_TILE"]++
  if (name ~ /^tdpb[su][su]d$/) count["AMX_INT8"]++
  if (name == "tdpbf16ps") count["AMX_BF16"]++
  next
}
name ~ /^(rorx|sarx|shlx|shrx|mulx|pdep|pext|bzhi)[lq]?$/ { count["BMI2"]++; next }
name ~ /^(andn|bextr|blsi|blsr|blsmsk|lzcnt|movbe|adcx|adox)[lqw]?$|^v?(gf2p8|aes|pclmul)|^sha(1|256)|^vpmadd52|^vpopcnt|^vp(compress|expand)[bw]$|^vpsh[lr]d|^vp2intersect|^vpdp(b(ss|su|uu)|w(su|us|uu))ds?$|^v[a-z0-9]+(ph|sh)$|%[er]?(1[6-9]|2[0-9]|3[01])[dwb]?/ && name !~ /^vcvtps2ph$/ {
  if (!other) other = "OTHER:" name
  count[other]++
  next
}
name ~ /^(pmovzx|pmovsx|pinsr[bdq]|pextr[bdq]|round[sp][sd]|pblend|blend|pmaxs[bd]|pmaxu[wd]|pmins[bd]|pminu[wd]|pmulld|pmuldq|ptest|pcmpeqq|pcmpgtq|pcmp[ei]str|crc32|popcnt|pshufb|palignr|pabs|psign|pmaddubs|pmulhrsw|ph(add|sub)|dpp[sd]|packusdw|insertps|extractps|movntdqa|h(add|sub)p|lddqu|mov(sh|sl|d)dup|addsub)/ {
  count["SSE42"]++
  next
}
name !~ /^v/ && code !~ /%k[0-7]/ { next }

{ evex = code ~ /%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])|[{]1to/ }

name ~ /^vp(ermb|ermi2b|ermt2b|multishiftqb)$/ { count["AVX512_VBMI"]++; next }
name ~ /^vdpbf16ps$|^vcvtne2?ps2bf16/ { count["AVX512_BF16"]++; next }
name ~ /^vpdp(busd|wssd)s?$/ { count[vex ? "AVX_VNNI" : "AVX512_VNNI"]++; next }
evex { count["AVX512"]++; next }
name ~ /^vcvt(ph2ps|ps2ph)$/ { count["F16C"]++; next }
name ~ /^vf(n?m(add|sub)|maddsub|msubadd)[123]/ { count["FMA"]++; next }
name ~ /^vpbroadcast|^v(extract|insert)i128$|^vperm2i128$|^vperm(q|d|ps|pd)$|^vp(sll|srl|sra)v|^vpblendd$|^vpmaskmov|gather/ {
  count["AVX2"]++
  next
}
name ~ /^vp|^vmpsadbw$|^vmovntdqa$/ && name !~ /^vpermil|^vperm2f128$|^vptest$/ && code ~ /%ymm/ {
  count["AVX2"]++
  next
}
{ count["AVX"]++ }

END {
  print module, "total", total + 0
  for (set in count) print module, set, count[set]
}
