# Nixpkgs' configure phase for CMake.
cmakeConfigurePhase() {
  runHook preConfigure

  export CC=${CC:-cc} CXX=${CXX:-c++}
  if [[ -z ${dontUseCmakeBuildDir-} ]]; then
    mkdir -p "${cmakeBuildDir:=build}"
    cd "$cmakeBuildDir"
    : "${cmakeDir:=..}"
  fi

  local defaults=(
    "-DCMAKE_INSTALL_PREFIX=${prefix:-$out}"
    "-DCMAKE_BUILD_TYPE=${cmakeBuildType:-Release}"
    "-DCMAKE_INSTALL_BINDIR=$out/bin"
    "-DCMAKE_INSTALL_SBINDIR=$out/sbin"
    "-DCMAKE_INSTALL_LIBDIR=${lib:-$out}/lib"
    "-DCMAKE_INSTALL_LIBEXECDIR=$out/libexec"
    "-DCMAKE_INSTALL_INCLUDEDIR=${dev:-$out}/include"
    "-DCMAKE_INSTALL_MANDIR=$out/share/man"
    "-DCMAKE_INSTALL_DOCDIR=$out/share/doc/${pname:-$name}"
    "-DCMAKE_INSTALL_LOCALEDIR=$out/share/locale"
    "-DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON"
  )
  [[ -n ${doCheck-} ]] || defaults+=("-DBUILD_TESTING=OFF")
  [[ ${buildPhase-} != ninjaBuildPhase ]] || defaults+=("-GNinja")

  local flags=()
  concatTo flags cmakeFlags cmakeFlagsArray
  echo "cmake flags: ${defaults[*]} ${flags[*]}"
  cmake "${cmakeDir:-.}" "${defaults[@]}" "${flags[@]}"

  runHook postConfigure
}

if [[ -z ${dontUseCmakeConfigure-} && -z ${configurePhase-} ]]; then
  configurePhase=cmakeConfigurePhase
fi
