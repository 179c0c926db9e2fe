/**
 * Every cap on what foreign input may make us read, hold or write. Bytes unless the name says otherwise.
 * A reader of foreign data names its limit from here, so that this page is the whole list.
 */
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** A manifest or index; the distribution specification asks registries to accept at least 4 MiB. */
export const MANIFEST_BYTES = 4 * MiB;
/** An image's config blob. */
export const CONFIG_BYTES = 8 * MiB;
/** A token server's answer. */
export const TOKEN_BYTES = 1 * MiB;
/** The part of an error answer's body that is read for its message. */
export const ERROR_BODY_BYTES = 64 * KiB;
/** Redirects followed for one request. */
export const REDIRECTS = 5;
/** Nested indexes followed from a reference to a manifest. */
export const INDEX_DEPTH = 3;
/** Layers in one image; Docker stops at 127. */
export const LAYERS = 512;
/** A layer as stored in a registry. */
export const LAYER_BYTES = 64 * GiB;
/** A layer after decompression. */
export const LAYER_UNPACKED_BYTES = 128 * GiB;
/** Decompressed bytes for each compressed byte, once RATIO_FLOOR_BYTES have come out. gzip cannot exceed 1032. */
export const DECOMPRESSION_RATIO = 1100;
export const RATIO_FLOOR_BYTES = 64 * MiB;
/** Entries in one layer. */
export const LAYER_ENTRIES = 4_000_000;
/** Names of a layer's folders and hard links, which are kept in memory while it goes by. */
export const LAYER_NAMES_BYTES = 512 * MiB;
/** A path inside a layer, as Linux has it (PATH_MAX). */
export const PATH_BYTES = 4096;
/** PAX extended headers and GNU long names of one tar entry: xattrs may be 64 KiB each, a file may have several. */
export const TAR_EXTENSION_BYTES = 1 * MiB;
/** A template or other file read out of an image's /exports. */
export const EXPORT_FILE_BYTES = 1 * MiB;
/** A passwd or group file read out of an image. */
export const PASSWD_BYTES = 4 * MiB;
/** Entries of an image's /exports/hostfs. */
export const HOST_FILES = 65_536;
/** Members of an oci-archive or docker-archive: three for each layer of each image, and a few. */
export const ARCHIVE_MEMBERS = 16_384;
/** An oci-archive or docker-archive after decompression. */
export const ARCHIVE_UNPACKED_BYTES = 256 * GiB;
/** JSON files of our own on disk (info, journal header). */
export const OWN_JSON_BYTES = 16 * MiB;
/** Output kept of a child process; more is cut off. */
export const CHILD_OUTPUT_BYTES = 8 * MiB;
/** A configuration file of the host (atomic.conf, auth.json). */
export const CONFIG_FILE_BYTES = 1 * MiB;

/** Kept of what a health check printed; Docker keeps as much. */
export const HEALTH_OUTPUT_CHARACTERS = 4096;
/** Most that an image can ask of us for its health check: how long we wait for it while its service starts. */
export const HEALTH_INTERVAL_MS = 600_000;
export const HEALTH_TIMEOUT_MS = 600_000;
export const HEALTH_START_PERIOD_MS = 3_600_000;
/** Failures in a row. */
export const HEALTH_RETRIES = 100;

/** Time without a byte before a connection counts as dead. */
export const IDLE_TIMEOUT_MS = 60_000;
/** Time to connect, and to the first byte of an answer. */
export const CONNECT_TIMEOUT_MS = 20_000;
/** Time a registry may take to store a blob that was sent to it; one on slow storage copies gigabytes before it answers. */
export const UPLOAD_STORE_TIMEOUT_MS = 600_000;
/** Tries of one request that fails for a passing reason, the first included. */
export const REQUEST_TRIES = 4;
/** The longest wait that a registry's Retry-After can ask of us. */
export const RETRY_AFTER_MAX_MS = 60_000;
