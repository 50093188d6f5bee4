# Runs the compiler of the arguments with ccache, if its folder is writable: another variant
# of the same source then compiles only what its options change. To be sourced.
cache=/nix/var/llamafleet/ccache
if [[ -x /usr/bin/ccache && -z ${insideCcache-} ]] && { [[ -d $cache ]] || mkdir -p -m 1777 "$cache" 2>/dev/null; } && [[ -w $cache ]]; then
  export CCACHE_DIR=$cache CCACHE_MAXSIZE=4G CCACHE_NOHASHDIR=1 CCACHE_UMASK=000
  export CCACHE_BASEDIR=${NIX_BUILD_TOP:-} CCACHE_TEMPDIR=${NIX_BUILD_TOP:+$NIX_BUILD_TOP/.ccache-tmp}
  # A compiler that runs the wrapped one compiles temporary files, whose names differ.
  export insideCcache=1
  exec /usr/bin/ccache "$@"
fi
