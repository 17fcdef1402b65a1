; Dectris EIGER2 16M: 4148 x 4362 pixels of 75 um in 4 x 8 modules of 1028 x 512.
; For Dectris master files, as 'NAME_master.h5 data_000001//0'.
;
; To edit for an experiment
; corner_x, corner_y: minus the position of the direct beam, in pixels from the corner of pixel 0
;   (beam_center_x and beam_center_y of the master file where these are right).
; wavelength, clen: taken from the master file. Data files that are used without their master do not
;   hold these headers: give numbers instead, for example
;     photon_energy = 7000 eV
;     clen = 0.150 m
; data: a data file without its master has its frames in one dataset:
;     data = /entry/data/data
; mask: the data must hold it, CrystFEL stops at a missing dataset. Without the master either remove
;   the mask lines, or add 'mask_file = /path/to/NAME_master.h5'.

wavelength = /entry/instrument/beam/incident_wavelength A
clen = /entry/instrument/detector/detector_distance m

data = /entry/data/%
dim0 = %
dim1 = ss
dim2 = fs

res = 13333.3333333
adu_per_photon = 1

; Every bit of the pixel mask means a bad pixel except bit 31, a virtual pixel: those between the
; chips of a module count photons like others. (CrystFEL itself takes them for bad all the same:
; it reads masks as signed numbers.)
mask = /entry/instrument/detector/detectorSpecific/pixel_mask
mask_good = 0x0
mask_bad = 0x7fffffff

p0/min_fs = 0
p0/max_fs = 4147
p0/min_ss = 0
p0/max_ss = 4361
p0/corner_x = -2074.0
p0/corner_y = -2181.0
p0/fs = x
p0/ss = y

; Gaps between modules: 12 columns and 38 rows
bad_column1/panel = p0
bad_column1/min_fs = 1028
bad_column1/max_fs = 1039
bad_column1/min_ss = 0
bad_column1/max_ss = 4361

bad_column2/panel = p0
bad_column2/min_fs = 2068
bad_column2/max_fs = 2079
bad_column2/min_ss = 0
bad_column2/max_ss = 4361

bad_column3/panel = p0
bad_column3/min_fs = 3108
bad_column3/max_fs = 3119
bad_column3/min_ss = 0
bad_column3/max_ss = 4361

bad_row1/panel = p0
bad_row1/min_fs = 0
bad_row1/max_fs = 4147
bad_row1/min_ss = 512
bad_row1/max_ss = 549

bad_row2/panel = p0
bad_row2/min_fs = 0
bad_row2/max_fs = 4147
bad_row2/min_ss = 1062
bad_row2/max_ss = 1099

bad_row3/panel = p0
bad_row3/min_fs = 0
bad_row3/max_fs = 4147
bad_row3/min_ss = 1612
bad_row3/max_ss = 1649

bad_row4/panel = p0
bad_row4/min_fs = 0
bad_row4/max_fs = 4147
bad_row4/min_ss = 2162
bad_row4/max_ss = 2199

bad_row5/panel = p0
bad_row5/min_fs = 0
bad_row5/max_fs = 4147
bad_row5/min_ss = 2712
bad_row5/max_ss = 2749

bad_row6/panel = p0
bad_row6/min_fs = 0
bad_row6/max_fs = 4147
bad_row6/min_ss = 3262
bad_row6/max_ss = 3299

bad_row7/panel = p0
bad_row7/min_fs = 0
bad_row7/max_fs = 4147
bad_row7/min_ss = 3812
bad_row7/max_ss = 3849
