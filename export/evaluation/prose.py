"""The text of the report around its tables. It contains no measured figure: those come from the rows."""

HEAD = """# What the codec costs, and what it survives

Made by `make evaluate` from the shipped networks; do not edit. Every figure is in a CSV file beside this one, one row
for each image, so that anything can be recomputed and grouped otherwise. `tests/unit/export/test_report.py` measures a
sample of the rows again and fails when this report is older or better than the networks.

All images were kept from training, which uses other sources. A payload is 160 random bytes, the size of a usual
record in its envelope. Seeds are derived from file name, profile and distortion.

## Networks measured
"""
GOALS = """## Goals and what was reached

"MR" and "CT objects" weigh every image alike, a series counting for each of its slices. "met" compares what was
reached with the goal, whatever the interval says: Clopper-Pearson's, 95 %, from its lower end. Images of 512 x 512 and
8 bit are whole images of that size or the centre of larger ones. Restoring bytes are shares of the pixel data.
"""
COST = """## What hiding costs

All evaluation images whole, uncompressed path. PSNR over all samples, peak = the image's own range (max - min): the
strict choice for 16-bit data that uses few of its values. SSIM: gaussian 11 x 11, data range = max - min. "full"
counts images that could be marked; "recovered" those whose payload a reader without any hint got back exactly.

{summary}
"""
DETAIL = """### Other peaks, local measures, overheads, times

"stored": peak 2^bits stored - 1. "window": both images rendered to 8 bit by the VOI window of the file, or by their
central 99 % where it has none. "RMS / local noise": median over 32 x 32 regions of the RMS change against the noise
that Immerkaer's estimator finds there. "restoring bytes": what undoes the change, as stored, before encryption. Times
on one thread of a machine that did other work as well, error correction and the check by reading included; small
images pay the fixed part.

![Overheads; the dotted lines are the goals, 3 % and 5 %](overheads.png)
"""
REFUSED = """### Images that could not be marked

They get level `digest` instead. "too-small": no room for 160 bytes; "too-flat": too much of the image is constant.
"""
RATE = """## Payload against distortion

![PSNR against payload, one line an image](rate-distortion.png)

`robust` spends what it is allowed to: its distortion follows its budget more than the payload.
"""
RECOVERY = """## What survives

Central 512 x 512 of the images, or all where smaller: `robust` in all evaluation images that it could mark, `fidelity`
in a fixed number of every kind. The codec is told the VOI window of files of more than 8 bits, as the gateway tells it.
The reader knows nothing of the image, its profile or what happened to it. Intervals are Clopper-Pearson's; a row of
all successes among few images is no proof of 99 %. One grey level is a 255th of the image's range. JPEG takes 8 bits:
deeper images are rendered through their VOI window first, or over their whole range where the file has none. JPEG 2000
ratios count the bits that the image uses, not those allocated. JPEG-LS near counts stored values. "window to 8 bit" is
only for deeper images; without a VOI window the central 99 % of the values are shown.

![Share recovered with 95 % intervals](recovery.png)
"""
STANDARD = """### 512 x 512 pixels, 8 bit

The goals of `robust` are set for these.
"""
CORRECTION = """### Error correction

The frame error rate of the LDPC code alone, over white gaussian noise: [ldpc.md](ldpc.md).
"""
COMPARISON = """## Against other methods

One image of every kind, rendered to 8 bit by its window, central 512 x 512; the same payload and framing for all.
DCT-QIM, STDM and the three neural baselines are set to the distortion of our robust profile on the same image. Their
readers are told strength, code length, plane and the cells that won't be clipped; ours are told nothing. LSB,
dwtDct and RivaGAN have no strength to set; RivaGAN carries 32 bits, the others all 160 bytes. The package's methods
work on colour only: they turn a monochrome image into a coloured one. Neural baselines: a few minutes of training on
a third of our training images; that a small GAN or a stacked autoencoder fails here says nothing of what longer
training gives.

![Distortion and survival of all methods](methods.png)
"""
TASK = """## Does a measurement change?

A fixed segmentation on the cover against the same on the container. Vessels: Frangi's filter, top tenth of its
response, an adversarial choice, because a percentile of a faint response moves with any noise. Tissue: Otsu's
threshold. The noise arms carry the very values of our change, at random places. Agreement with the cover is no proof
of diagnostic equivalence: that takes readers.
"""
EXAMPLES = """## Examples

![Images in their window, and the amplified change](examples.png)

Openly licensed images (they trained the networks; the tables contain none of them):
"""
LIMITS = """## Limits

- The evaluation images come from public collections, several of them already JPEG-compressed and 8-bit; fewer are
  native 12-bit and 16-bit objects. CR, DX and MG at 12 bit and more are not represented.
- Recovery is measured on all images that the collection has for it. Rates like 99.9 % need thousands; the intervals
  say so. Many are neighbouring slices of few subjects, and so less independent than the intervals take them to be.
- The goals of `robust` are set for 512 x 512 and 8 bit; on smaller images its distortion is higher.
- `fidelity` survives what keeps pixel values, and nothing else. That is its design.
- Neither profile survives crops, flips or scaling: the pixel grid must stay. A record that is not found means
  "unknown", never "unchanged".
- Constant background makes cells unusable; noise or lossy compression that disturbs it can shift the evidence by
which the reader finds the mark.
- Times depend on the machine; they were not taken on an idle one.
- No human reader has judged the images.
"""
