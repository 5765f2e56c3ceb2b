-- From here on this connection's unqualified names mean the twins; reset when the rebuild ends.
SELECT set_config('search_path', 'rebuild, public', false);
