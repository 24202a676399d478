#!/bin/sh
# quiet_link.sh LINKER ARGUMENT...: links, and leaves one known warning out of what the linker says.
#
# Name look-ups of a static glibc load shared modules of the very same glibc when nsswitch.conf names
# some, and the linker warns of it at every use. Our static programs never let it come to that:
# os::use_own_name_services() keeps to what is inside glibc itself, and nothing of ours opens a
# shared library. The linker has no switch for a single warning; --no-warnings hides errors, too.
messages=$("$@" 2>&1)
code=$?
[ -z "$messages" ] || printf '%s\n' "$messages" | awk '
  /: in function `[^`]*.:$/ { context = $0 "\n"; next }
  /warning: Using .(dlopen|getaddrinfo|gethostbyname|getservbyname|getservbyport|getpwuid|getpwnam|getgrgid|getgrnam|initgroups|getpwuid_r|getgrgid_r). in statically linked/ { next }
  { printf "%s%s\n", context, $0; context = "" }' >&2
exit $code
