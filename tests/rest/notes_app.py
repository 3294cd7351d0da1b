"""A small app as people write them: notes in memory, read in pages, made, changed and deleted."""
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel


class Draft(BaseModel):
    title: str
    done: bool = False
    points: float | None = None


class Change(BaseModel):
    title: str | None = None
    done: bool | None = None
    points: float | None = None


class Note(Draft):
    id: int


app = FastAPI()
notes: dict[int, Note] = {n: Note(id=n, title=f"note {n}", points=n / 2) for n in range(1, 6)}


def there(note_id: int) -> Note:
    if note_id not in notes:
        raise HTTPException(404, "there is no such note")
    return notes[note_id]


@app.get("/notes/")
def list_notes(skip: int = Query(0, ge=0), limit: int = Query(2, ge=1, le=2), done: bool | None = None) -> list[Note]:
    found = [note for _, note in sorted(notes.items()) if done is None or note.done == done]
    return found[skip:skip + limit]


@app.post("/notes/", status_code=201)
def create_note(draft: Draft) -> Note:
    number = max(notes, default=0) + 1
    notes[number] = Note(id=number, **draft.model_dump())
    return notes[number]


@app.get("/notes/{note_id}")
def read_note(note_id: int) -> Note:
    return there(note_id)


@app.patch("/notes/{note_id}")
def update_note(note_id: int, change: Change) -> Note:
    notes[note_id] = there(note_id).model_copy(update=change.model_dump(exclude_unset=True))
    return notes[note_id]


@app.delete("/notes/{note_id}", status_code=204)
def delete_note(note_id: int) -> Response:
    there(note_id)
    del notes[note_id]
    return Response(status_code=204)


@app.post("/notes/{note_id}/publish")
def publish(note_id: int) -> dict[str, str]:
    return {"published": there(note_id).title}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
