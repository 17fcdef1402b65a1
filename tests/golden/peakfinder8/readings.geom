; two panels above each other, readings of 10 units per photon
photon_energy = 9000 eV
adu_per_photon = 10
clen = 0.1
res = 13333.3
data = /data
dim0 = %
dim1 = ss
dim2 = fs
mask = /mask
mask_good = 0x0
mask_bad = 0x2
flag_lessthan = -25
max_adu = 100000

lower/min_fs = 0
lower/max_fs = 111
lower/min_ss = 0
lower/max_ss = 50
lower/corner_x = -55.1
lower/corner_y = -53.6
lower/fs = +0.9999x -0.01y
lower/ss = +0.01x +0.9999y

upper/min_fs = 0
upper/max_fs = 111
upper/min_ss = 51
upper/max_ss = 103
upper/corner_x = -56.3
upper/corner_y = 2.2
upper/fs = +x
upper/ss = +y
upper/flag_equal = 5
