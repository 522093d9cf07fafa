#!/bin/sh
# Flags are for the trainer; anything else is a command of its own, such as kfp's.
case "${1:--}" in
  -*) exec python -m trainer "$@" ;;
  *) exec "$@" ;;
esac
