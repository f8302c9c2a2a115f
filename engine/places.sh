# Sourced. Where Liftoff caches what can be had again; the same rule as provider/places.py.

cache_folder() {
    if [ -n "${LIFTOFF_CACHE:-}" ]; then
        printf '%s\n' "${LIFTOFF_CACHE/#\~/$HOME}"
    else
        printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/liftoff"
    fi
}
