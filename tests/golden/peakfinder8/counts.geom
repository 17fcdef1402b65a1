; two panels side by side in the data array, the right one first in this file
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 13333.3
data = /data
dim0 = %
dim1 = ss
dim2 = fs
mask = /mask
mask_good = 0x0
mask_bad = 0xffff

right/min_fs = 60
right/max_fs = 111
right/min_ss = 0
right/max_ss = 103
right/corner_x = 3.7
right/corner_y = -50.2
right/fs = +0.998x +0.06y
right/ss = -0.06x +0.998y
right/flag_morethan = 60000
right/flag_equal = 7

left/min_fs = 0
left/max_fs = 59
left/min_ss = 0
left/max_ss = 103
left/corner_x = 1.4
left/corner_y = 52.9
left/fs = -0.9998x +0.02y
left/ss = -0.02x -0.9998y
left/mask_edge_pixels = 1

badcorner/panel = left
badcorner/min_fs = 10
badcorner/max_fs = 14
badcorner/min_ss = 70
badcorner/max_ss = 90
