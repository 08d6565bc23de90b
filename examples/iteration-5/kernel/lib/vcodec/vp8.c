#include <media/vcodec.h>

/* The boolean entropy decoder of RFC 6386, section 7. */
struct bool_decoder {
	const u8 *data;
	size_t size;
	size_t pos;
	u32 value;
	u32 range;
	unsigned int bit_count;
};

static u8 next_byte(struct bool_decoder *d)
{
	u8 byte = d->pos < d->size ? d->data[d->pos] : 0;

	d->pos++;
	return byte;
}

static bool read_bool(struct bool_decoder *d, u8 probability)
{
	u32 split = 1 + ((d->range - 1) * probability >> 8);
	bool bit = d->value >= split << 8;

	if (bit) {
		d->range -= split;
		d->value -= split << 8;
	} else {
		d->range = split;
	}
	while (d->range < 128) {
		d->value <<= 1;
		d->range <<= 1;
		if (++d->bit_count == 8) {
			d->bit_count = 0;
			d->value |= next_byte(d);
		}
	}
	return bit;
}

/*
 * One bool: true for a frame that is predicted from the one before, false for one
 * predicted from the pixel above. Then a residual a pixel: eight bools down a tree
 * whose probabilities adapt.
 */
static int vp8_decode(const struct vcodec_frame *f)
{
	struct bool_decoder d = { .data = f->data, .size = f->size, .range = 255 };
	unsigned int i, node, pixels = f->width * f->height;
	u8 probability[256];
	bool inter;

	memset(probability, 128, sizeof(probability));
	d.value = next_byte(&d) << 8;
	d.value |= next_byte(&d);
	inter = read_bool(&d, 128);

	for (i = 0; i < pixels; i++) {
		for (node = 1; node < 256; ) {
			u8 *p = &probability[node];
			bool bit = read_bool(&d, *p);

			*p = bit ? *p - (*p >> 4) : *p + ((256 - *p) >> 4);
			node = node << 1 | bit;
		}
		f->pix[i] = node + (inter ? f->ref[i] : i < f->width ? 128 : f->pix[i - f->width]);
	}
	return d.pos == d.size ? 0 : -EINVAL;
}

const struct vcodec vcodec_vp8 = {
	.name = "vp8",
	.magic = "tVP8",
	.decode = vp8_decode,
};
