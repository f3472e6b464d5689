# Prints names out of the output of `dropin-cache list --json`: of a kind of what.
# A plugin can be called anything, and shells would expand and run some of that.
function show(name) { if (name ~ /^[A-Za-z0-9_.]+$/) print name }
inside && NF < 3 { inside = 0 }
inside { if (what == "interface") show($2) }
$2 == "provides" || $2 == "inherits" { inside = substr($0, length($0)) == "[" }
$2 == "module" { module = $4 }
$2 == what || (what == "name" && ($2 == "package" || $2 == "module")) { show($4) }
what == "name" && $2 == "plugin" { show(module "." $4) }
