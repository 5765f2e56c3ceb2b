-- From here on this connection's unqualified names mean the twins; the pool resets it on release.
SELECT set_config('search_path', 'rebuild, public', false);
