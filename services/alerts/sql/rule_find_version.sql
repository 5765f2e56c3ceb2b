-- What differs whenever any rule does: a change raises the greatest sequence, a deletion lowers the count.
SELECT count(name) AS rules, coalesce(max(sequence), 0) AS newest FROM rule;
