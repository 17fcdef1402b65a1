; the simplest file
photon_energy = 9000 eV
clen = 0.1 m
res = 13333.3
adu_per_photon = 1
p0/min_fs = 0
p0/max_fs = 99
p0/min_ss = 0
p0/max_ss = 59
p0/corner_x = -50.25
p0/corner_y = -30.5
p0/fs = x
p0/ss = y
