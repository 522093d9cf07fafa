"""Google Cloud Storage: fetches gs://<bucket>/<name> to a local cache, and uploads outputs.

A download that was cut off resumes where it stopped; size and CRC32C of each are checked.
Credentials are the application's default ones, or none, for public buckets.
"""

import base64
import contextlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from trainer.artifacts import MANIFEST
from trainer.errors import InputError, RemoteError

SCHEME = "gs://"
AT_ONCE = 8
SECONDS = 20  # of retries, when the server does not answer


def is_remote(path):
    return str(path).startswith(SCHEME)


def local(path):
    """The local path of a file or directory, fetched or not."""
    if not is_remote(path):
        return Path(path)
    bucket, name = bucket_and_name(path)
    if not {"", ".", ".."}.isdisjoint(f"{bucket}/{name}".rstrip("/").split("/")):
        raise InputError("name in storage", "must not have empty parts or dots alone", path)
    home = os.environ.get("IEG_CACHE") or Path.home() / ".cache" / "ieg-pipeline"
    return Path(home, bucket, name)


def origin(path):
    """The gs:// path that a local path is a copy of, or else the absolute local path."""
    if is_remote(path):
        return str(path)
    path = os.path.abspath(path)
    cached = os.path.relpath(path, local(f"{SCHEME}bucket").parent)
    return path if cached.startswith(os.pardir) else f"{SCHEME}{cached}"


@contextlib.contextmanager
def mirrored(path):
    """The local directory of outputs at a path, and a function that uploads one part of it.

    The files at a remote path are fetched first, and all files are uploaded at the end.
    """
    if not is_remote(path):
        yield Path(path), lambda part: None
        return
    directory = local(path)
    fetch_directory(path)
    yield directory, lambda part: upload(directory / part, f"{path}/{part}")
    upload(directory, path)


def versions(path, argument="path"):
    """(path, size, CRC32C) of a remote file, or of all files below a remote directory, in order.

    Raises:
      InputError: Nothing is there.
    """
    bucket, name = bucket_and_name(path)
    with one_line(path):
        file = client().bucket(bucket).get_blob(name.rstrip("/"), retry=retry()) if name else None
        found = [file] if file else list(listing(path))
    if not found:
        raise InputError(argument, "must be a file or directory that exists", str(path))
    return sorted((uri(blob), blob.size, blob.crc32c) for blob in found)


def files(path):
    """Paths of all files below a remote directory, in order."""
    with one_line(path):
        return sorted(uri(blob) for blob in listing(path))


def fetched(path, argument="path"):
    """The local path of a file or directory, after fetching it if it is remote."""
    if not is_remote(path):
        return path
    place, (bucket, name) = local(path), bucket_and_name(path)
    with one_line(path):
        if client().bucket(bucket).get_blob(name.rstrip("/"), retry=retry()):
            fetch([path.rstrip("/")])
        elif not fetch_directory(path):
            raise InputError(argument, "must be a file or directory that exists", path)
    return place


def fetch_directory(path):
    """Fetches all files below a remote directory, except those whose local copy is current.

    Returns:
      How many there are.
    """
    with one_line(path):
        return download_all(listing(path), path)


def fetch(uris):
    """Fetches remote files, in the same way."""
    with one_line(uris[0]):
        download_all(
            (client().bucket(b).blob(name) for b, name in map(bucket_and_name, uris)), uris[0]
        )


def download_all(blobs, description):
    from tqdm import tqdm

    count, blobs = 0, iter(blobs)
    with (
        tqdm(desc=f"fetch {description}", unit="B", unit_scale=True) as progress,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        while some := list(itertools.islice(blobs, 10 * AT_ONCE)):
            list(pool.map(lambda blob: download(blob, progress), some))
            count += len(some)
    return count


def download(blob, progress):
    """Fetches one file, unless the local copy is current.

    Raises:
      RemoteError: The file that arrived has another size or checksum.
    """
    from tqdm.utils import CallbackIOWrapper

    file = local(uri(blob))
    with one_line(uri(blob)):
        if blob.generation is None:
            blob.reload(retry=retry())
        if file.is_file() and size_and_checksum(file) == (blob.size, blob.crc32c):
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{blob.generation}.partial")
        with open(partial, "ab") as stream:
            start = stream.tell()
            progress.update(start)
            if start < blob.size:
                blob.download_to_file(
                    CallbackIOWrapper(progress.update, stream, "write"),
                    start=start or None,
                    if_generation_match=blob.generation,
                    raw_download=True,
                    checksum=None,
                    retry=retry(),
                )
    if size_and_checksum(partial) != (blob.size, blob.crc32c):
        partial.unlink()
        raise RemoteError(f"{uri(blob)} arrived damaged; run the same command again")
    os.replace(partial, file)


def upload(directory, path):
    """Makes a remote directory equal to a local one; manifests are sent last."""
    bucket_name, name = bucket_and_name(path)
    with one_line(path):
        bucket = client().bucket(bucket_name)
        there = {blob.name: (blob.size, blob.crc32c) for blob in listing(path)}
        here = {
            prefix(name) + file.relative_to(directory).as_posix(): file
            for file in sorted(Path(directory).rglob("*"), key=lambda f: (f.name == MANIFEST, f))
            if file.is_file()
        }
        for target, file in here.items():
            if there.get(target) != size_and_checksum(file):
                bucket.blob(target).upload_from_filename(file, retry=retry(), checksum="crc32c")
        for gone in there.keys() - here.keys():
            bucket.blob(gone).delete(retry=retry())


def listing(path):
    """The blobs below a remote directory, without those that only mark a folder."""
    bucket, name = bucket_and_name(path)
    blobs = client().list_blobs(bucket, prefix=prefix(name), retry=retry())
    return (blob for blob in blobs if not blob.name.endswith("/"))


def size_and_checksum(file):
    """Size and CRC32C of a local file, as Cloud Storage writes them."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with open(file, "rb") as stream:
        for _ in checksum.consume(stream, 1 << 20):
            pass
    return os.path.getsize(file), base64.b64encode(checksum.digest()).decode()


def bucket_and_name(path):
    """Bucket and name."""
    bucket, _, name = str(path).removeprefix(SCHEME).partition("/")
    return bucket, name


def prefix(name):
    return name.rstrip("/") + "/" if name else ""


def uri(blob):
    return f"{SCHEME}{blob.bucket.name}/{blob.name}"


@cache
def client():
    import google.auth.exceptions
    from google.cloud import storage

    try:
        return storage.Client()
    except (google.auth.exceptions.DefaultCredentialsError, OSError):
        return storage.Client.create_anonymous_client()


def retry():
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(SECONDS)


@contextlib.contextmanager
def one_line(path):
    """Turns errors of the client into one line about a path."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    try:
        yield
    except (exceptions.ClientError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        rule = f"must exist, and these credentials must be allowed to use it ({error})"
        raise InputError("path in storage", rule.replace("\n", " "), str(path)) from error
    except (
        exceptions.GoogleAPIError,
        requests.RequestException,
        TransportError,
        ConnectionError,
    ) as error:
        reason = str(error).splitlines()[0]
        raise RemoteError(
            f"{path} cannot be reached ({reason}); run the same command again"
        ) from error
