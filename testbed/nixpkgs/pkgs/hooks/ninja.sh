# Nixpkgs' build and install phases for Ninja; only `testbedTargets`, if a package
# has them.
ninjaBuildPhase() {
  runHook preBuild

  local flags=("-j$NIX_BUILD_CORES")
  concatTo flags ninjaFlags ninjaFlagsArray
  ninja "${flags[@]}" ${testbedTargets-}

  runHook postBuild
}

ninjaInstallPhase() {
  runHook preInstall

  if [[ -n ${testbedTargets-} && ${testbedTargets-} != all ]]; then
    # Installs what was built and skips the rest.
    find . -name cmake_install.cmake -exec sed -i -E \
      's/^( *file\(INSTALL .* TYPE (EXECUTABLE|SHARED_LIBRARY|STATIC_LIBRARY|MODULE))( OPTIONAL)? /\1 OPTIONAL /' {} +
    cmake --install .
  else
    ninja install
  fi

  runHook postInstall
}

if [[ -z ${dontUseNinjaBuild-} && -z ${buildPhase-} ]]; then
  buildPhase=ninjaBuildPhase
fi
if [[ -z ${dontUseNinjaInstall-} && -z ${installPhase-} ]]; then
  installPhase=ninjaInstallPhase
fi
