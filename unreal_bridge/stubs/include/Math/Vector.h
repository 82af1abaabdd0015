#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
struct FVector {
  double X, Y, Z;
  static const FVector ZeroVector;
  FVector();
  explicit FVector(double);
  FVector(double, double, double);
  double operator[](int32) const;
  double GetMax() const;
  FVector operator+(const FVector&) const;
  FVector operator-(const FVector&) const;
};
struct FQuat {
  static const FQuat Identity;
  FQuat operator*(const FQuat&) const;
  FQuat Inverse() const;
  FVector RotateVector(const FVector&) const;
};
struct FRotator {
  double Pitch, Yaw, Roll;
  static const FRotator ZeroRotator;
  FRotator(double, double, double);
  FQuat Quaternion() const;
};
struct FTransform {
  static const FTransform Identity;
  FTransform();
  explicit FTransform(const FVector&);
  FTransform(const FRotator&, const FVector&, const FVector& = FVector(1.));
  FTransform(const FQuat&, const FVector&, const FVector& = FVector(1.));
  FTransform operator*(const FTransform&) const;
  FVector TransformPosition(const FVector&) const;
  FVector GetLocation() const;
  FQuat GetRotation() const;
  FRotator Rotator() const;
  void AddToTranslation(const FVector&);
  bool Equals(const FTransform&, double) const;
};
struct FColor { uint8 B, G, R, A; FColor(uint8, uint8, uint8, uint8 = 255); };
struct FLinearColor {
  float R, G, B, A;
  static const FLinearColor White, Black;
  FLinearColor();
  FLinearColor(float, float, float, float = 1.f);
  FLinearColor(const FColor&);
  FLinearColor operator*(const FLinearColor&) const;
};
struct FBoxSphereBounds { FVector Origin, BoxExtent; double SphereRadius; };
