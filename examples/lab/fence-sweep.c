// The lab's sweep: what userspace reads from buffers that vim2m is still to fill.
//
//   fence-sweep ROW PATH FIXTURE OUTPUT
//
//   row       the CAPTURE buffers
//   imported  DMABUF, from the system's DMA heap
//   exported  MMAP, exported as dma-bufs with VIDIOC_EXPBUF
//   starved   imported, with nothing queued on OUTPUT
//
//   path           when a buffer is read
//   libva          once the fence has signalled that DMA_BUF_IOCTL_EXPORT_SYNC_FILE gives
//   kernel-direct  once VIDIOC_DQBUF has given the buffer back
//   software       at once: it is computed
//
// What was read goes to OUTPUT, and for a buffer that never came, one line that says so. stdout gets one line of JSON:
// the device, or null where none was used, and the number of frames. No row has a fixture: FIXTURE is `-`. Exit 1 and a
// sentence on stderr mean that it could not look, which is no finding.
//
// vim2m fills a buffer when its job starts and gives it back when its time is over; the next job starts then. So the
// first buffer is never stale, and without a fence all others are, as long as the reader is done within the first
// job's time. A run in which it was not tells nothing, and is made again with twice the time.

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	frames = 4,
	width = 320,
	height = 240,
	frame_bytes = width * height * 2, // RGB565
	// What a buffer holds before the device writes to it.
	stale = 0x5a,
	// vim2m's own control: V4L2_CID_TRANS_TIME_MSEC of drivers/media/test-drivers/vim2m.c, 10,001 at most.
	transaction_time_control = V4L2_CID_USER_BASE + 0x1000,
	first_transaction_ms = 250,
	last_transaction_ms = 4000,
	// How long a reader waits for one frame, besides the transactions themselves.
	patience_ms = 20000,
	// How long it waits where nothing can come.
	starved_ms = 1000,
	// Whatever hangs, this ends it.
	whole_run_s = 110,
};

static const char starved_line[] = "no frame: the wait for it timed out\n";

__attribute__((format(printf, 1, 2), noreturn)) static void cannot_look(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static void out_of_time(int signal)
{
	static const char sentence[] = "the whole run was not over in time: something hangs\n";

	(void)signal;
	(void)!write(STDERR_FILENO, sentence, sizeof(sentence) - 1);
	_exit(1);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void control(int fd, unsigned long request, void *argument, const char *what)
{
	int result;

	do
		result = ioctl(fd, request, argument);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		cannot_look("%s failed: %s", what, strerror(errno));
}

static void *map(int fd, off_t offset, const char *what)
{
	void *memory = mmap(NULL, frame_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (memory == MAP_FAILED)
		cannot_look("%s can't be mapped: %s", what, strerror(errno));
	return memory;
}

// Whether the file is ready within the time; a time of 0 only asks.
static bool ready(int fd, short events, int64_t limit_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int64_t end = now_ms() + limit_ms, left;
	int result;

	do {
		left = end - now_ms();
		result = poll(&poll_fd, 1, left > 0 ? (int)left : 0);
	} while (result < 0 && errno == EINTR);
	if (result < 0)
		cannot_look("poll failed: %s", strerror(errno));
	return result > 0;
}

// The picture that goes into OUTPUT, and unchanged comes out of CAPTURE. No byte of it is a stale one.
static void fill_frame(uint8_t *to, int frame)
{
	for (int at = 0; at < frame_bytes; at++)
		to[at] = (uint8_t)(at * 7 + at / 640 * 13 + frame * 61) & 0x7f;
	for (int at = 0; at < frame_bytes; at++)
		if (to[at] == stale)
			to[at] = 0x80;
}

struct session {
	int video;
	char device[32];
	bool exported;
	int transaction_ms;
	uint8_t *in[frames], *out[frames];
	int dma_buf[frames], sync_file[frames];
	int done;
};

// The node of vim2m: which one it is depends on what was loaded before it.
static void open_device(struct session *session)
{
	for (int number = 0; number < 64; number++) {
		struct v4l2_capability capability = { 0 };

		snprintf(session->device, sizeof(session->device), "/dev/video%d", number);
		session->video = open(session->device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (session->video < 0) {
			if (errno == ENOENT || errno == ENODEV)
				continue;
			cannot_look("%s can't be opened: %s", session->device, strerror(errno));
		}
		if (ioctl(session->video, VIDIOC_QUERYCAP, &capability) == 0 &&
		    strcmp((const char *)capability.driver, "vim2m") == 0)
			return;
		close(session->video);
	}
	cannot_look("no /dev/video is vim2m's: is the module loaded?");
}

static struct v4l2_buffer buffer_of(const struct session *session, enum v4l2_buf_type type, int index)
{
	bool imported = type == V4L2_BUF_TYPE_VIDEO_CAPTURE && !session->exported;

	return (struct v4l2_buffer){
		.type = type,
		.memory = imported ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP,
		.index = (uint32_t)index,
	};
}

static void request_buffers(const struct session *session, enum v4l2_buf_type type)
{
	struct v4l2_requestbuffers request = {
		.type = type,
		.memory = buffer_of(session, type, 0).memory,
		.count = frames,
	};

	control(session->video, VIDIOC_REQBUFS, &request, "VIDIOC_REQBUFS");
	if (request.count != frames)
		cannot_look("VIDIOC_REQBUFS gave %u buffers, expected %d", request.count, frames);
}

static void *map_buffer(const struct session *session, enum v4l2_buf_type type, int index)
{
	struct v4l2_buffer buffer = buffer_of(session, type, index);

	control(session->video, VIDIOC_QUERYBUF, &buffer, "VIDIOC_QUERYBUF");
	return map(session->video, buffer.m.offset, "a buffer of vim2m");
}

static void make_buffers(struct session *session)
{
	static const enum v4l2_buf_type types[] = { V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int heap = -1;

	for (int at = 0; at < 2; at++) {
		struct v4l2_format format = { .type = types[at] };

		format.fmt.pix.width = width;
		format.fmt.pix.height = height;
		format.fmt.pix.pixelformat = V4L2_PIX_FMT_RGB565;
		format.fmt.pix.field = V4L2_FIELD_NONE;
		control(session->video, VIDIOC_S_FMT, &format, "VIDIOC_S_FMT");
		if (format.fmt.pix.sizeimage != frame_bytes || format.fmt.pix.pixelformat != V4L2_PIX_FMT_RGB565)
			cannot_look("vim2m has a picture of %u bytes, expected %d of RGB565", format.fmt.pix.sizeimage,
				    frame_bytes);
		request_buffers(session, types[at]);
	}
	if (!session->exported) {
		heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
		if (heap < 0)
			cannot_look("/dev/dma_heap/system can't be opened: %s", strerror(errno));
	}
	for (int at = 0; at < frames; at++) {
		session->in[at] = map_buffer(session, V4L2_BUF_TYPE_VIDEO_OUTPUT, at);
		fill_frame(session->in[at], at);
		if (session->exported) {
			struct v4l2_exportbuffer export = {
				.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
				.index = (uint32_t)at,
				.flags = O_RDWR | O_CLOEXEC,
			};

			session->out[at] = map_buffer(session, V4L2_BUF_TYPE_VIDEO_CAPTURE, at);
			control(session->video, VIDIOC_EXPBUF, &export, "VIDIOC_EXPBUF");
			session->dma_buf[at] = export.fd;
		} else {
			struct dma_heap_allocation_data allocation = {
				.len = frame_bytes,
				.fd_flags = O_RDWR | O_CLOEXEC,
			};

			control(heap, DMA_HEAP_IOCTL_ALLOC, &allocation, "DMA_HEAP_IOCTL_ALLOC");
			session->dma_buf[at] = (int)allocation.fd;
			session->out[at] = map(session->dma_buf[at], 0, "a buffer of the DMA heap");
		}
		session->sync_file[at] = -1;
	}
	if (heap >= 0)
		close(heap);
}

static void queue_capture(struct session *session)
{
	for (int at = 0; at < frames; at++) {
		struct v4l2_buffer buffer = buffer_of(session, V4L2_BUF_TYPE_VIDEO_CAPTURE, at);

		memset(session->out[at], stale, frame_bytes);
		buffer.length = frame_bytes;
		if (!session->exported)
			buffer.m.fd = session->dma_buf[at];
		control(session->video, VIDIOC_QBUF, &buffer, "VIDIOC_QBUF of CAPTURE");
	}
}

// The time that goes in with a picture comes out with what was made of it.
static struct timeval mark_of(int frame)
{
	return (struct timeval){ .tv_sec = 5000 + frame, .tv_usec = 77 * (frame + 1) };
}

static void queue_output(struct session *session)
{
	for (int at = 0; at < frames; at++) {
		struct v4l2_buffer buffer = buffer_of(session, V4L2_BUF_TYPE_VIDEO_OUTPUT, at);

		buffer.bytesused = frame_bytes;
		buffer.field = V4L2_FIELD_NONE;
		buffer.timestamp = mark_of(at);
		control(session->video, VIDIOC_QBUF, &buffer, "VIDIOC_QBUF of OUTPUT");
	}
}

static void stream(struct session *session, unsigned long request, const char *what)
{
	enum v4l2_buf_type output = V4L2_BUF_TYPE_VIDEO_OUTPUT, capture = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	session->done = 0;
	control(session->video, request, &output, what);
	control(session->video, request, &capture, what);
}

static void set_transaction_time(struct session *session, int milliseconds)
{
	struct v4l2_control value = { .id = transaction_time_control, .value = milliseconds };

	control(session->video, VIDIOC_S_CTRL, &value, "VIDIOC_S_CTRL of the transaction time");
	session->transaction_ms = milliseconds;
}

// The fences as they are now: what a sync file waits for does not grow.
static void export_fences(struct session *session)
{
	for (int at = 0; at < frames; at++) {
		struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };

		control(session->dma_buf[at], DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export,
			"DMA_BUF_IOCTL_EXPORT_SYNC_FILE");
		session->sync_file[at] = export.fd;
	}
}

static void close_fences(struct session *session)
{
	for (int at = 0; at < frames; at++) {
		close(session->sync_file[at]);
		session->sync_file[at] = -1;
	}
}

// Takes the next filled buffer back, and sees from it that the device has made it of the picture that was its own.
// False if none comes in time.
static bool dequeue_capture(struct session *session, int64_t limit_ms)
{
	struct v4l2_buffer buffer = buffer_of(session, V4L2_BUF_TYPE_VIDEO_CAPTURE, 0);
	struct timeval mark = mark_of(session->done);

	if (!ready(session->video, POLLIN, limit_ms))
		return false;
	control(session->video, VIDIOC_DQBUF, &buffer, "VIDIOC_DQBUF");
	if (buffer.flags & V4L2_BUF_FLAG_ERROR)
		cannot_look("vim2m gave buffer %u back with an error", buffer.index);
	if ((int)buffer.index != session->done || (int)buffer.sequence != session->done ||
	    buffer.bytesused != frame_bytes || buffer.timestamp.tv_sec != mark.tv_sec ||
	    buffer.timestamp.tv_usec != mark.tv_usec)
		cannot_look("vim2m gave buffer %u, sequence %u, %u bytes, time %lld.%06lld; expected frame %d",
			    buffer.index, buffer.sequence, buffer.bytesused, (long long)buffer.timestamp.tv_sec,
			    (long long)buffer.timestamp.tv_usec, session->done);
	session->done++;
	return true;
}

static int64_t patience(const struct session *session)
{
	return patience_ms + (int64_t)frames * session->transaction_ms;
}

static void dequeue_all(struct session *session)
{
	while (session->done < frames)
		if (!dequeue_capture(session, patience(session)))
			cannot_look("vim2m gave %d frames and no more within %lld ms", session->done,
				    (long long)patience(session));
}

static void write_all(int fd, const void *bytes, size_t size)
{
	for (const uint8_t *at = bytes; size > 0;) {
		ssize_t written = write(fd, at, size);

		if (written < 0 && errno != EINTR)
			cannot_look("the output can't be written: %s", strerror(errno));
		if (written > 0) {
			at += written;
			size -= (size_t)written;
		}
	}
}

// Reads each frame once its fence says so, and as it is then. A plain read: DMA_BUF_IOCTL_SYNC would wait itself.
// False if the reader was too slow to tell a fence that has signalled from one that never waited.
static bool read_by_fences(struct session *session, uint8_t (*read)[frame_bytes])
{
	int64_t started = now_ms();
	bool all_pending = true;

	queue_output(session);
	export_fences(session);
	for (int at = 0; at < frames; at++)
		all_pending &= !ready(session->sync_file[at], POLLIN, 0);
	for (int at = 0; at < frames; at++) {
		if (!ready(session->sync_file[at], POLLIN, patience(session)))
			cannot_look("the fence of frame %d did not signal within %lld ms", at,
				    (long long)patience(session));
		memcpy(read[at], session->out[at], frame_bytes);
	}
	close_fences(session);
	return all_pending || now_ms() - started < session->transaction_ms;
}

static void sweep_fed(struct session *session, bool by_fences, int output)
{
	static uint8_t read[frames][frame_bytes];
	bool told = false;

	for (int ms = first_transaction_ms; !told && ms <= last_transaction_ms; ms *= 2) {
		set_transaction_time(session, ms);
		queue_capture(session);
		stream(session, VIDIOC_STREAMON, "VIDIOC_STREAMON");
		if (by_fences)
			told = read_by_fences(session, read);
		else
			queue_output(session);
		dequeue_all(session);
		if (!by_fences) {
			for (int at = 0; at < frames; at++)
				memcpy(read[at], session->out[at], frame_bytes);
			told = true;
		}
		stream(session, VIDIOC_STREAMOFF, "VIDIOC_STREAMOFF");
	}
	if (!told)
		cannot_look("reading %d frames took longer than the %d ms of one transaction: the machine is too busy",
			    frames, last_transaction_ms);
	write_all(output, read, sizeof(read));
}

// Waits where nothing can come. What a fence lets through is read; it is nobody's picture.
static void sweep_starved(struct session *session, bool by_fences, int output)
{
	bool pending[frames] = { false };
	int64_t end = now_ms() + starved_ms;

	set_transaction_time(session, first_transaction_ms);
	queue_capture(session);
	stream(session, VIDIOC_STREAMON, "VIDIOC_STREAMON");
	if (by_fences)
		export_fences(session);
	for (int at = 0; at < frames; at++) {
		int64_t left = end > now_ms() ? end - now_ms() : 0;

		pending[at] = by_fences ? !ready(session->sync_file[at], POLLIN, left) :
					  !dequeue_capture(session, left);
		if (pending[at])
			write_all(output, starved_line, sizeof(starved_line) - 1);
		else
			write_all(output, session->out[at], frame_bytes);
	}
	stream(session, VIDIOC_STREAMOFF, "VIDIOC_STREAMOFF");
	for (int at = 0; by_fences && at < frames; at++) {
		struct sync_file_info info = { 0 };

		if (!pending[at])
			continue;
		// Nobody will fill it any more, and whoever still waits is told so.
		if (!ready(session->sync_file[at], POLLIN, patience(session)))
			cannot_look("the fence of frame %d is pending after STREAMOFF", at);
		control(session->sync_file[at], SYNC_IOC_FILE_INFO, &info, "SYNC_IOC_FILE_INFO");
		if (info.status >= 0)
			cannot_look("the fence of frame %d has status %d after STREAMOFF, expected an error", at,
				    info.status);
	}
	if (by_fences)
		close_fences(session);

	// It was starved, not dead: fed, it gives every frame.
	queue_capture(session);
	stream(session, VIDIOC_STREAMON, "VIDIOC_STREAMON");
	queue_output(session);
	dequeue_all(session);
	stream(session, VIDIOC_STREAMOFF, "VIDIOC_STREAMOFF");
}

static void compute(bool starved, int output)
{
	static uint8_t frame[frame_bytes];

	for (int at = 0; at < frames; at++) {
		fill_frame(frame, at);
		if (starved)
			write_all(output, starved_line, sizeof(starved_line) - 1);
		else
			write_all(output, frame, sizeof(frame));
	}
}

int main(int count, char **arguments)
{
	struct session session = { 0 };
	int output;

	if (count != 5)
		cannot_look("usage: fence-sweep ROW PATH FIXTURE OUTPUT");
	const char *row = arguments[1], *path = arguments[2];
	bool starved = strcmp(row, "starved") == 0;
	bool by_fences = strcmp(path, "libva") == 0;

	session.exported = strcmp(row, "exported") == 0;
	if (!starved && !session.exported && strcmp(row, "imported") != 0)
		cannot_look("there is no row %s, only imported, exported and starved", row);
	if (!by_fences && strcmp(path, "kernel-direct") != 0 && strcmp(path, "software") != 0)
		cannot_look("there is no path %s, only libva, kernel-direct and software", path);
	signal(SIGALRM, out_of_time);
	alarm(whole_run_s);
	output = open(arguments[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (output < 0)
		cannot_look("%s can't be written: %s", arguments[4], strerror(errno));

	if (strcmp(path, "software") == 0) {
		compute(starved, output);
		printf("{\"device\":null,\"frames\":%d}\n", frames);
		return 0;
	}
	open_device(&session);
	make_buffers(&session);
	if (starved)
		sweep_starved(&session, by_fences, output);
	else
		sweep_fed(&session, by_fences, output);
	printf("{\"device\":\"%s (vim2m)\",\"frames\":%d}\n", session.device, frames);
	return 0;
}
