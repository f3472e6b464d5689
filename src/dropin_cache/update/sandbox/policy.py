"""What confined children always see, and what they never do."""

from __future__ import annotations

# Links into /usr on most machines, directories on some.
TOP_LEVEL = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

# All of this can be read by everybody. Not in the list: resolv.conf, since there is no network,
# and whatever may hold a password or a key.
ETC = (
    "alternatives",  # libraries such as libblas.so.3 are links that go through it
    "ca-certificates.conf",
    "group",
    "hosts",
    "ld.so.cache",  # without it, libraries outside the standard directories are not found
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",  # for pwd.getpwuid and os.path.expanduser; the passwords are in shadow
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "python3",
    "services",
    "ssl/certs",  # not ssl/private
    "ssl/openssl.cnf",
    "timezone",
)

# Never shown as a whole: they hold what is private, or belong to the sandbox itself.
WITHHELD = frozenset(
    [
        *("/", "/boot", "/dev", "/etc", "/home", "/media", "/mnt", "/proc", "/root", "/run"),
        *("/srv", "/sys", "/tmp", "/var", "/var/tmp"),  # noqa: S108
    ]
)
KERNEL = ("/dev/", "/proc/", "/sys/")

# Shown as a whole, and too large to look for links in all of it.
SYSTEM = ("/usr/", "/lib")

# Shown as a whole if anything in it is: what is in there names other things in there by their
# paths, without any links, and everybody can read all of it.
STORES = ("/nix/store", "/gnu/store")
