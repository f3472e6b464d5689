# dh(1) loads this for packages that build-depend on dh-sequence-dropin-cache.

use strict;
use warnings;

use Debian::Debhelper::Dh_Lib;

# After everything that installs files or moves them, and before the triggers are packaged.
insert_before('dh_installdeb', 'dh_dropin-cache');

1;
