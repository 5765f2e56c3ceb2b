-- Notes the newest event time that a reader has applied; it never goes back.
INSERT INTO watermark AS w (projection, moment) VALUES ($1, $2)
ON CONFLICT (projection) DO UPDATE SET moment = greatest(w.moment, excluded.moment);
