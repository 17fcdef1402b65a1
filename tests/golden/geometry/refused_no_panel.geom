photon_energy = 9000 eV
clen = 0.1 m
res = 13333.3
adu_per_photon = 1
