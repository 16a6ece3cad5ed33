"""The commands of `mos`, a file each."""
