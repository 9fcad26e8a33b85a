"""A URL in, exit code 0 out where something answers there that is not broken (a status below 500), else 1.

For health checks inside an image: 503 of /live is a part without progress; 401 of the court is a court that lives.
"""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def lives(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if len(sys.argv) == 2 and lives(sys.argv[1]) else 1)
