# installManPage and installShellCompletion, for names like tool.bash, tool.fish, tool.zsh.
installManPage() {
  local page
  for page in "$@"; do
    install -Dm644 "$page" "$out/share/man/man${page##*.}/${page##*/}"
  done
}

installShellCompletion() {
  local file name
  for file in "$@"; do
    name=${file##*/}
    case $file in
      *.bash) install -Dm644 "$file" "$out/share/bash-completion/completions/${name%.bash}" ;;
      *.fish) install -Dm644 "$file" "$out/share/fish/vendor_completions.d/$name" ;;
      *.zsh) install -Dm644 "$file" "$out/share/zsh/site-functions/_${name%.zsh}" ;;
    esac
  done
}
