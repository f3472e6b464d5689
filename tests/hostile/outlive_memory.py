"""Has the kernel kill somebody else when there is no memory left."""

with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
    file.write("0" if file.read() == "1000\n" else "-1000")
__doc__ = "done"
