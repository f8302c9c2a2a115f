#!/usr/bin/env bash
# Puts the Pulumi engine that this project is pinned to into the cache, once:
#   $cache/engine/<version>/bin/{pulumi,pulumi-language-python,…}
#
# In this order: `pulumi` on PATH, the official installer, a build from Go modules. See
# docs/decisions/0001-engine-from-source.md for why there are three.
#
#   engine/install.sh                install, and say which way was taken
#   engine/install.sh --print-path   print the folder of the executables, install nothing
#
# LIFTOFF_ENGINE=auto|path|installer|modules takes one way only; `path` takes whatever version is there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=engine/places.sh
. "$here/places.sh"

readonly installer=https://get.pulumi.com/
readonly tool=github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
readonly sdk=github.com/pulumi/pulumi/sdk/v3
readonly connect_seconds=4 installer_seconds=20 download_seconds=600

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

version=$(sed -n 's/^[[:space:]]*"pulumi==\([0-9][0-9.]*\)".*/\1/p' "$here/../pyproject.toml")
[ -n "$version" ] || die "pyproject.toml pins no \`pulumi==X.Y.Z\` among its dependencies; the engine must be of the SDK's version"
readonly version

readonly engines=$(cache_folder)/engine
readonly root=$engines/$version
readonly way=${LIFTOFF_ENGINE:-auto}

case $way in auto | path | installer | modules) ;; *)
    die "LIFTOFF_ENGINE is '$way'; allowed: auto, path, installer, modules" ;;
esac
case ${1:-} in
    '') ;;
    --print-path) printf '%s\n' "$root/bin"; exit 0 ;;
    *) die "unknown argument '$1'; the only one is --print-path" ;;
esac

# ---- what is there ----

version_of() { "$1" version 2>/dev/null | sed -n 's/^v//p' | head -n 1; }

installed() {
    [ -x "$root/bin/pulumi" ] && [ -f "$root/way" ] || return 1
    case $way in
        auto) [ "$(version_of "$root/bin/pulumi")" = "$version" ] ;;
        path) return 1 ;; # PATH may have changed, and linking anew costs nothing
        *) [ "$(cat "$root/way")" = "$way" ] && [ "$(version_of "$root/bin/pulumi")" = "$version" ] ;;
    esac
}

# Moves a finished folder to its place: whoever looks sees the old engine or the new one, never half of one.
place() { # FOLDER WAY
    printf '%s\n' "$2" >"$1/way"
    if [ -e "$root" ]; then mv "$root" "$work/replaced"; fi
    mv "$1" "$root"
}

# ---- the three ways; each returns 1 where it isn't open ----

from_path() {
    local found there folder
    found=$(PATH=$(without_own_path) command -v pulumi) || { say "no pulumi on PATH"; return 1; }
    there=$(version_of "$found")
    if [ "$there" != "$version" ]; then
        if [ "$way" != path ]; then
            say "$found is version ${there:-unknown}, Liftoff is pinned to $version (LIFTOFF_ENGINE=path takes it all the same)"
            return 1
        fi
        say "taking $found, version ${there:-unknown}, though Liftoff is pinned to $version"
    fi
    folder=$(dirname "$(readlink -f "$found")")
    if [ ! -x "$folder/pulumi-language-python" ]; then
        say "$found has no pulumi-language-python beside it"
        return 1
    fi
    mkdir -p "$work/path/bin"
    ln -s "$folder"/pulumi* "$work/path/bin/"
    place "$work/path" path
}

without_own_path() {
    printf '%s' "$PATH" | tr ':' '\n' | grep -vF -- "$engines/" | paste -sd: -
}

from_installer() {
    command -v curl >/dev/null || { say "no curl for the official installer"; return 1; }
    curl --proto '=https' --fail --silent --location --connect-timeout "$connect_seconds" --max-time "$installer_seconds" \
        --output "$work/installer.sh" "$installer" 2>/dev/null || {
        say "$installer does not answer within $connect_seconds s"
        return 1
    }
    say "running the official installer for $version"
    limited sh "$work/installer.sh" --version "$version" --install-root "$work/official" --no-edit-path \
        >"$work/installer.log" 2>&1 </dev/null || {
        say "the official installer failed: $(tail -n 1 "$work/installer.log")"
        return 1
    }
    [ "$(version_of "$work/official/bin/pulumi")" = "$version" ] || {
        say "the official installer left no working pulumi $version"
        return 1
    }
    place "$work/official" installer
}

# timeout(1) is GNU's; without it the installer's own limits hold.
limited() {
    if command -v timeout >/dev/null; then timeout "$download_seconds" "$@"; else "$@"; fi
}

from_modules() {
    local go_version flags=(-trimpath -ldflags "-s -w -X $sdk/go/common/version.Version=v$version")
    command -v go >/dev/null || {
        say "no Go to build the engine with"
        return 1
    }
    go_version=$(go env GOVERSION)
    if [[ $go_version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] < 21)); then
        say "$(command -v go) is $go_version; 1.21 or later is needed (it fetches the toolchain that engine/go.mod names)"
        return 1
    fi
    grep -q "^require github.com/pulumi/pulumi/pkg/v3 v$version\b" "$here/go.mod" || {
        say "engine/go.mod does not require pulumi/pkg/v3 v$version as pyproject.toml does; run: cd engine && go get $tool@v$version && go mod tidy"
        return 1
    }
    say "building pulumi $version from Go modules (once; some minutes and 3 GB for Go's own caches)"
    fetch_modules && compile && add_language_host || {
        say "the build failed; the end of its log:"
        tail -n 15 "$work/go.log" >&2
        return 1
    }
    place "$work/modules" modules
}

# Reads a command's trace and reports how many lines of it matched, as they come.
progress() { # PATTERN TOTAL WHAT
    local line count=0 said=$SECONDS
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$work/go.log"
        [[ $line =~ $1 ]] || continue
        count=$((count + 1))
        if ((SECONDS - said >= 5)); then
            said=$SECONDS
            say "$count of $2 $3, $((SECONDS - started)) s"
        fi
    done
    say "$count of $2 $3, $((SECONDS - started)) s"
}

fetch_modules() {
    local total
    total=$(grep -vc '/go.mod ' "$here/go.sum")
    # What is stale under these flags is what the build will compile: the total of its progress.
    (cd "$here" && go list -x "${flags[@]}" -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "$tool" 2>&1 >"$work/stale") |
        progress '\.zip: 200' "at most $total" 'modules fetched'
}

compile() {
    local total
    total=$(wc -l <"$work/stale")
    mkdir -p "$work/modules/bin"
    (cd "$here" && go build -v "${flags[@]}" -o "$work/modules/bin/pulumi" "$tool" 2>&1) |
        progress '^[a-z0-9._-]+(/|$)' "${total// /}" 'packages compiled'
    [ "$(version_of "$work/modules/bin/pulumi")" = "$version" ]
}

add_language_host() {
    local source
    source=$(cd "$here" && go list -m -f '{{.Dir}}' "$sdk") || return 1
    install -m 0755 "$source/python/cmd/pulumi-language-python-exec" "$work/modules/bin/"
    update_language_host "$work/modules"
}

# The host is this project's own code: it is brought up to date on each run, by renames.
update_language_host() { # FOLDER
    local package=$work/package
    mkdir -p "$1/lib" "$package"
    cp -R "$here/language_host" "$package/"
    rm -rf "$package/language_host/__pycache__"
    python3 -m zipapp "$package" --main language_host.__main__:main --output "$work/language_host.pyz"
    install -m 0755 "$here/language_host.sh" "$work/language_host.sh"
    mv "$work/language_host.pyz" "$1/lib/language_host.pyz"
    mv "$work/language_host.sh" "$1/bin/pulumi-language-python"
}

# ---- one at a time ----

command -v python3 >/dev/null || die "python3 is missing; install Python 3.11 or later"
mkdir -p "$engines"
exec 9>"$engines/lock"
# The lock belongs to descriptor 9, which this shell keeps: flock(1) is not on every system, Python is.
lock() { python3 -c "import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1] == 'try' else 0))" "$1"; }
lock try 2>/dev/null || { say "another run is installing the engine; waiting for it"; lock wait; }

work=$(mktemp -d "$engines/.work.XXXXXX")
readonly work started=$SECONDS
trap 'rm -rf "$work"' EXIT

if installed; then
    if [ "$(cat "$root/way")" = modules ]; then update_language_host "$root"; fi
    say "pulumi $version is there already ($(cat "$root/way"))"
    exit 0
fi

for try in path installer modules; do
    [ "$way" = auto ] || [ "$way" = "$try" ] || continue
    if "from_$try"; then
        say "pulumi $(version_of "$root/bin/pulumi") is in $root/bin (way: $try), after $((SECONDS - started)) s"
        exit 0
    fi
done

die "there is no Pulumi $version and no way to get it. Do one of these, then run \`make engine\` again:
  - install Pulumi $version (https://www.pulumi.com/docs/install/) and put it on PATH
  - let this machine reach $installer
  - install Go 1.21 or later (https://go.dev/doc/install) and let this machine reach a Go module proxy (see \`go env GOPROXY\`)"
