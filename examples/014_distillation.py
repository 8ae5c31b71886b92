"""Knowledge distillation: a small network learns from the probabilities of a large one, by a loss of its own."""

import gpudl as keras
from gpudl import layers, ops

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train, x_test = ((x.reshape(-1, 28 * 28) / 255).astype("float32") for x in (x_train, x_test))

teacher = keras.Sequential([
    layers.Dense(256, activation="relu", input_shape=(28 * 28,)),
    layers.Dense(128, activation="relu"),
    layers.Dense(10),
], name="teacher")

student = keras.Sequential([
    layers.Dense(16, activation="relu", input_shape=(28 * 28,)),
    layers.Dense(10),
], name="student")


class Distiller(keras.Model):
    """A student, which is trained, and its teacher."""

    def __init__(self, student, teacher):
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.teacher.trainable = False

    def compile(self, student_loss_fn, distillation_loss_fn, alpha=0.1, temperature=3, **kwargs):
        """Take two losses, the weight of the first, and how much the probabilities are softened."""
        super().compile(**kwargs)
        self.student_loss_fn = student_loss_fn
        self.distillation_loss_fn = distillation_loss_fn
        self.alpha = alpha
        self.temperature = temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compare predictions with the labels, and with what the teacher predicts."""
        student_loss = self.student_loss_fn(y, y_pred)
        soft_targets = ops.softmax(self.teacher(x, training=False) / self.temperature, axis=1)
        soft_predictions = ops.softmax(y_pred / self.temperature, axis=1)
        distillation_loss = self.distillation_loss_fn(soft_targets, soft_predictions) * self.temperature**2
        return self.alpha * student_loss + (1 - self.alpha) * distillation_loss

    def call(self, x):
        """Return what the student says."""
        return self.student(x)


loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
teacher.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
teacher.fit(x_train, y_train, epochs=3, batch_size=128)
teacher_acc = teacher.evaluate(x_test, y_test, verbose=0)[1]

distiller = Distiller(student, teacher)
distiller.compile(
    optimizer=keras.optimizers.Adam(0.003),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    student_loss_fn=loss,
    distillation_loss_fn=keras.losses.KLDivergence(),
)
distiller.fit(x_train, y_train, epochs=3, batch_size=128)
student_acc = distiller.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
print(f"teacher: {teacher_acc:.3f} with {teacher.count_params()} weights")
print(f"student: {student_acc:.3f} with {student.count_params()} weights")
