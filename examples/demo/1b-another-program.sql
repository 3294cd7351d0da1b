-- A program that has never heard of syncscope: nothing is loaded here.
.mode box
SELECT * FROM notes;
UPDATE notes SET title = 'buy oat milk' WHERE id = 'n1';
INSERT INTO notes VALUES ('n3', 'water the plants', 0);
